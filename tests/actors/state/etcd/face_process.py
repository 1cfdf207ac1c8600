"""The program of a state actor that serves etcd's API: `python -m tests.actors.state.etcd.face_process SETUP_JSON`.

A program and no fork of the test: gRPC, which the test may use too, does not outlive a fork.
"""

import sys

import msgspec

from runtime.actor import Setup, run

if __name__ == "__main__":
    setup = msgspec.json.decode(sys.argv[1], type=Setup, dec_hook=lambda kind, value: kind(value))
    sys.exit(run("actors.state.actor:StateActor", setup))
