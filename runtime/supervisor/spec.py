"""What the supervisor keeps alive: child specs, and the policy of restarts.

A spec is data. The actors layer composes specs (`actors.cluster.compose`); `core` decides on them; `shell` acts.
"""

from pathlib import Path
from typing import Any

import msgspec


class ActorLaunch(msgspec.Struct, frozen=True, tag="actor"):
    """Fork the warm parent and run an actor in the child."""

    target: str  # module and class, as "actors.state.actor:StateActor"
    settings: dict[str, Any] = {}


class CommandLaunch(msgspec.Struct, frozen=True, tag="command"):
    """Fork the warm parent and execute a foreign program in the child."""

    argv: list[str]
    socket: str = ""  # a Unix socket that accepts once the program serves; empty: it serves as soon as it runs
    env: dict[str, str] = {}  # added to the supervisor's own environment
    cwd: str = "/"


class ChildSpec(msgspec.Struct, frozen=True):
    """One child. `after` names the children that must have served before this one starts for the first time."""

    name: str
    role: str
    node: str
    launch: ActorLaunch | CommandLaunch
    after: tuple[str, ...] = ()
    start_deadline_s: float = 30.0  # from the fork to `serving`; past it the child is killed and started again
    stop_deadline_s: float = 10.0  # from TERM to KILL


class RestartPolicy(msgspec.Struct, frozen=True):
    """When to restart, when to kill, when to give up.

    The first restart is immediate; each further one within the window waits twice as long as the one before.
    """

    intensity: int = 10  # crashes within the window that are borne; with one more the child is marked failed
    window_s: float = 60.0
    first_backoff_s: float = 0.1  # before the second restart in a window
    max_backoff_s: float = 10.0
    failed_retry_s: float = 30.0  # how often a failed child gets another chance
    start_probe_s: float = 0.02  # between health checks until a child serves: part of every start's latency
    health_period_s: float = 2.0  # between health checks of a child that serves
    health_failures: int = 5  # in a row, before a child that has served is killed: about 20 s of silence

    def backoff_s(self, crashes_in_window: int) -> float:
        """Return how long to wait before the restart that follows the n-th crash of the window."""
        if crashes_in_window <= 1:
            return 0.0
        return float(min(self.max_backoff_s, self.first_backoff_s * 2.0 ** (crashes_in_window - 2)))


PROBE_TIMEOUT_S = 2.0  # for the answer to one health check


class SpecError(ValueError):
    """A set of child specs that contradicts itself."""


def check_specs(specs: list[ChildSpec]) -> None:
    """Raise SpecError for a name given twice, a dependency that is not there, or a circle of them."""
    by_name = {spec.name: spec for spec in specs}
    if len(by_name) != len(specs):
        raise SpecError("two children have the same name")
    for spec in specs:
        for needed in spec.after:
            if needed not in by_name:
                raise SpecError(f"{spec.name} comes after {needed}, which is not among the children")
    started: set[str] = set()
    while len(started) < len(specs):
        ready = {name for name, spec in by_name.items() if name not in started and started.issuperset(spec.after)}
        if not ready:
            raise SpecError(f"children wait for each other: {', '.join(sorted(set(by_name) - started))}")
        started |= ready


def socket_path(endpoint: str) -> Path:
    """Return the path in an `ipc://` or `unix://` endpoint, or of a plain path."""
    return Path(endpoint.split("://", 1)[-1])
