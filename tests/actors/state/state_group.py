"""A group of state actors, each a process of its own, in one directory."""

import contextlib
import time

from actors.state import messages as m
from bus import BlockingClient, BusError
from tests.actors.state.state_process import StateProcess

WAIT_S = 20.0


def eventually(condition, seconds=WAIT_S):
    """Return the first true value of a condition."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BusError):
            if value := condition():
                return value
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


class StateGroup:
    def __init__(self, path, size=3, **state):
        self.path = path
        self.state = state
        self.names = [f"state@m{number}" for number in range(1, size + 1)]
        self.members = {name: StateProcess(path, name=name, names=self.names, **state) for name in self.names}

    @property
    def endpoints(self):
        return {name: member.endpoint for name, member in self.members.items()}

    def start(self):
        for member in self.members.values():
            member.launch()
        eventually(lambda: self.leader())
        return self

    def start_another(self, name):
        """Start a member that nobody has added yet."""
        names = [*self.names, name]
        state = self.state | {"initial_members": self.names}
        self.members[name] = StateProcess(self.path, name=name, names=names, **state).start()
        return self.members[name]

    def status(self, name, timeout_s=1.0):
        return self.members[name].ask(m.StatusRequest(), timeout_s=timeout_s)

    def leader(self, besides=""):
        """Return the member that leads, as one of the others sees it too; None while there is none."""
        seen = {}
        for name in self.members:
            if name == besides:
                continue
            with contextlib.suppress(BusError):
                status = self.status(name, timeout_s=0.3)
                seen[name] = status.leader
        for name, leader in seen.items():
            if leader == name and list(seen.values()).count(name) > len(self.members) // 2 - (besides != ""):
                return self.members[name]
        return None

    def wait_for_leader(self, besides=""):
        return eventually(lambda: self.leader(besides))

    def ask_leader(self, request, timeout_s=10.0):
        """Ask whoever leads, until it answers; for requests that may be repeated."""

        def ask():
            leader = self.leader()
            with BlockingClient("cli@test") as client:
                return leader and client.request(leader.endpoint, request, timeout_s=timeout_s)

        return eventually(ask)

    def agree(self):
        """Whether all members have applied the same."""
        statuses = [self.status(name) for name in self.members]
        return len({(each.applied_index, each.revision) for each in statuses}) == 1

    def stop(self):
        for member in self.members.values():
            with contextlib.suppress(ProcessLookupError, AttributeError):
                member.resume()
            member.kill() if member.process is not None else None
