"""A state actor in a process of its own, on a directory that outlives it."""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import time

import msgspec

from actors.api.config import ClusterConfig, NodeConfig, StateConfig
from bus import BlockingClient, DeadlineExceeded, Directory, Unavailable
from runtime import garbage
from runtime.actor import Setup, run
from runtime.messages import FailpointRequest, HealthRequest, InspectRequest, StopRequest

NAME = "state@m1"
START_S = 20.0


class StateProcess:
    def __init__(self, path, before=lambda: None, name=NAME, names=(NAME,), network=None, **state):
        self.path = path
        self.name = name
        self.before = before  # called in the new process
        nodes = [each.partition("@")[2] for each in names]
        config = ClusterConfig(nodes={node: NodeConfig(roles=["state"]) for node in nodes}, state=StateConfig(**state))
        plain = msgspec.to_builtins(config)
        node = name.partition("@")[2]
        settings = {"cluster": plain, "node": plain["nodes"][node]}
        self.setup = Setup(name, "state", node, settings, path, path, list(names), **(network or {}))
        directory = Directory(path, names)
        self.endpoint, self.control, self.events = (
            directory.work(name), directory.control(name), directory.events(name)
        )  # fmt: skip
        self.process = None

    def launch(self):
        """Start without waiting until it serves."""
        self.process = multiprocessing.get_context("fork").Process(target=self._live)
        self.process.start()

    def _live(self):
        sys.stdout = sys.stderr = open(self.log_path, "a", buffering=1)  # noqa: SIM115 - for the process's life
        gc.freeze()  # and the rest as for an actor that a warm parent has forked
        garbage.adapt()
        self.before()
        os._exit(run("actors.state.actor:StateActor", self.setup))

    def start(self):
        self.launch()
        deadline = time.monotonic() + START_S
        with BlockingClient("cli@test") as client:
            while time.monotonic() < deadline and self.process.is_alive():
                with contextlib.suppress(Unavailable, DeadlineExceeded):
                    if client.request(self.control, HealthRequest(), timeout_s=1.0).state == "serving":
                        return self
        raise AssertionError(f"it does not serve:\n{self.log}")

    @property
    def log(self):
        return self.log_path.read_text()

    @property
    def log_path(self):
        return self.path / ("log" if self.name == NAME else f"log-{self.name}")

    def ask(self, request, sender="apiserver@m1", timeout_s=5.0):
        with BlockingClient(sender) as client:
            return client.request(self.endpoint, request, timeout_s=timeout_s)

    def inspect(self):
        with BlockingClient("cli@test") as client:
            return client.request(self.control, InspectRequest()).state

    def arm(self, failpoint, action="crash", skip=0):
        with BlockingClient("cli@test") as client:
            client.request(self.control, FailpointRequest(failpoint, action, skip))

    def kill(self):
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        """End in good order; return the exit status."""
        if self.process is not None and self.process.is_alive():
            with BlockingClient("cli@test") as client, contextlib.suppress(Unavailable):
                client.request(self.control, StopRequest())
        if self.process is not None:
            self.process.join(15)
            return self.process.exitcode
        return None
