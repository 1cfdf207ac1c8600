"""The supervisor and the actors of a running cluster, asked over the bus from the test's own process.

A command for each question would cost more than most of what chaos tests do between two questions.
"""

import os
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bus.address import ipc_endpoint
from bus.blocking import BlockingClient
from bus.errors import BusError
from runtime.messages import FailpointRequest
from runtime.supervisor.messages import NAME, ChildStatus, RestartRequest, StatusRequest
from runtime.supervisor.rundir import find
from tests.cluster import Cluster, eventually

CALM_CRASHES = 4  # after more of them in a row, the supervisor's pauses before a restart are longer than a restart


class Control:
    def __init__(self, cluster: Cluster):
        self._run_dir = find(Path(os.path.abspath(cluster.data_dir)))
        self._client = BlockingClient("chaos@tests")

    def close(self) -> None:
        self._client.close()

    def ask(self, name: str, request: Any, timeout_s: float = 5.0) -> Any:
        """Ask on somebody's control socket."""
        return self._client.request(
            ipc_endpoint(self._run_dir, name, "control"), request, timeout_s=timeout_s, retry=True
        )

    def actors(self) -> dict[str, ChildStatus]:
        return {actor.name: actor for actor in self.ask(NAME, StatusRequest(memory=False)).actors}

    def actor(self, name: str) -> ChildStatus:
        return self.actors()[name]

    def serving(self, name: str, not_pid: int = 0) -> int:
        """Return the pid of an actor once it serves, as another process than a given one."""

        def pid() -> int:
            found = self.actor(name)
            return found.pid if found.health == "serving" and found.pid != not_pid else 0

        return int(eventually(pid, f"{name} serves"))

    @contextmanager
    def away(self, name: str) -> Iterator[None]:
        """Kill an actor, and keep the supervisor from starting it again, or anybody else who dies meanwhile.

        The supervisor answers nothing until the end.
        """
        supervisor = self.ask(NAME, StatusRequest(memory=False)).supervisor.pid
        pid = self.actor(name).pid
        os.kill(supervisor, signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)
        self.serving(name, pid)

    def restart(self, name: str) -> int:
        """Stop in order, and start again; return the new pid."""
        before = self.actor(name).pid
        self.ask(NAME, RestartRequest(name))
        return self.serving(name, before)


def processes_of(container_id: str) -> list[int]:
    """Return the pids of a container, by its cgroup."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container_id in path.read_text():
                found.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found


class Victim:
    """An actor that dies where it is told to."""

    def __init__(self, control: Control, name: str):
        self.control, self.name = control, name
        self._crashes: deque[int] = deque()

    def arm(self, failpoint: str, skip: int) -> int:
        """Have it die at a failpoint, after it was passed some times; return its pid."""
        if len(self._crashes) >= CALM_CRASHES:
            self.control.restart(self.name)
            self._crashes.clear()
        pid = self.control.serving(self.name)
        self.control.ask(self.name, FailpointRequest(failpoint, "crash", skip))
        return pid

    def struck(self, pid: int, failpoint: str) -> bool:
        """Tell whether the failpoint was passed; it is disarmed if not."""
        if self.control.actor(self.name).pid == pid:
            try:
                self.control.ask(self.name, FailpointRequest(failpoint, "off"))
                return False
            except BusError:  # it has just died
                eventually(lambda: self.control.actor(self.name).pid != pid, f"{self.name} has died")
        self._crashes.append(pid)
        return True
