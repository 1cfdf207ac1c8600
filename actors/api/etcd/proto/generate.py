"""Regenerate this folder's `*_pb2.py(i)` from its `.proto` files: `python -m actors.api.etcd.proto.generate`.

Neighbours: `actors.api.codegen` compiles; `actors.api.etcd.rpc` reads the services out of the modules' descriptors.
"""

import sys
from pathlib import Path

from actors.api.codegen import generate

if __name__ == "__main__":
    sys.exit(generate(Path(__file__).resolve().parent))
