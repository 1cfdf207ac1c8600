"""What the supervisor answers on its control socket, `supervisor.control` in the run directory.

Sender: the command line. Receiver: the supervisor. It publishes `LIFECYCLE` hints on `supervisor.events`: a map of
`name`, `what` (starting, serving, unhealthy, killed, exited, failed, stopping, stopped), `detail` and `pid`.
"""

from typing import ClassVar

from bus.record import ANYONE, Empty, Record, Request

NAME = "supervisor"
LIFECYCLE = "supervisor.lifecycle"
OPERATORS = frozenset({"cli", "chaos"})

NO_SUCH_CHILD = "no_such_child"
NOT_RUNNING = "not_running"


class ChildStatus(Record, frozen=True, array_like=True, gc=False):
    name: str
    role: str
    node: str
    pid: int  # 0: no process
    health: str  # waiting forking starting serving unhealthy backoff failed stopping stopped
    leader: bool | None  # None: its role knows no leaders
    uptime_s: float
    restarts: int
    pss_mb: float
    reason: str = ""  # why it is not serving


class SupervisorStatus(Record, frozen=True, array_like=True, gc=False):
    pid: int
    uptime_s: float
    pss_mb: float
    warm_parent_pid: int
    warm_parent_pss_mb: float
    data_dir: str
    run_dir: str


class Status(Record, frozen=True, array_like=True, gc=False):
    supervisor: SupervisorStatus
    actors: list[ChildStatus]


class StatusRequest(Request, frozen=True, array_like=True, gc=False):
    """`memory` False leaves out the measuring of memory, which takes some milliseconds a process."""

    method: ClassVar[str] = "supervisor.status"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Status

    memory: bool = True


class StopRequest(Request, frozen=True, array_like=True, gc=False):
    """Stop everything in order, then exit. Answered at once; the data dir's lock is free when it is done."""

    method: ClassVar[str] = "supervisor.stop"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = Empty


class RestartRequest(Request, frozen=True, array_like=True, gc=False):
    """Stop a child in order and start it anew. Answered at once. NO_SUCH_CHILD."""

    method: ClassVar[str] = "supervisor.restart"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = Empty

    name: str


class Killed(Record, frozen=True, array_like=True, gc=False):
    pid: int


class KillRequest(Request, frozen=True, array_like=True, gc=False):
    """Send a signal to a child's process. NO_SUCH_CHILD, NOT_RUNNING."""

    method: ClassVar[str] = "supervisor.kill"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = Killed

    name: str
    signal: int = 9
