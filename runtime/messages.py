"""What every actor answers on its control socket.

Sender: the supervisor and the command line. Receiver: any actor.
"""

from typing import Any, ClassVar

from bus.record import ANYONE, Empty, Record, Request


class Health(Record, frozen=True, array_like=True, gc=False):
    """`state` is starting | serving | stopping; `detail` says more, as "waits for its first list"."""

    state: str
    detail: str = ""
    leader: bool | None = None


class HealthRequest(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "control.health"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Health


class Inspection(Record, frozen=True, array_like=True, gc=False):
    """What the actor says of itself: plain data, the role's own choice."""

    state: dict[str, Any]


class InspectRequest(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "control.inspect"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Inspection


class StopRequest(Request, frozen=True, array_like=True, gc=False):
    """Stop in good order. Answered before the stop."""

    method: ClassVar[str] = "control.stop"
    roles: ClassVar[frozenset[str]] = frozenset({"supervisor", "cli"})
    reply: ClassVar[type[Record]] = Empty


class FailpointRequest(Request, frozen=True, array_like=True, gc=False):
    """Arm a failpoint by name: `crash` kills the process there, `error` raises, `off` disarms; after `skip` passes."""

    method: ClassVar[str] = "control.failpoint"
    roles: ClassVar[frozenset[str]] = frozenset({"cli", "chaos"})
    reply: ClassVar[type[Record]] = Empty

    name: str
    action: str = "crash"
    skip: int = 0


class ClockRequest(Request, frozen=True, array_like=True, gc=False):
    """Let the actor's wall clock be wrong by so much, as on a machine that nobody keeps in time; 0: right again."""

    method: ClassVar[str] = "control.clock"
    roles: ClassVar[frozenset[str]] = frozenset({"cli", "chaos"})
    reply: ClassVar[type[Record]] = Empty

    wall_shift_s: float = 0.0


class TasksText(Record, frozen=True, array_like=True, gc=False):
    text: str


class TasksRequest(Request, frozen=True, array_like=True, gc=False):
    """What every task of the actor waits for, a line each."""

    method: ClassVar[str] = "control.tasks"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = TasksText


class MetricsText(Record, frozen=True, array_like=True, gc=False):
    text: str


class MetricsRequest(Request, frozen=True, array_like=True, gc=False):
    """The actor's metrics in Prometheus' text format."""

    method: ClassVar[str] = "control.metrics"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = MetricsText
