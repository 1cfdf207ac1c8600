"""What happens to the supervisor's core, and what it wants done: the two vocabularies of `core`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Start:
    """Bring every child up."""


@dataclass(frozen=True, slots=True)
class ParentReady:
    """The warm parent takes requests."""


@dataclass(frozen=True, slots=True)
class ParentLost:
    """The warm parent died. The shell has made sure that none of its children is alive any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Forked:
    name: str
    incarnation: int
    pid: int


@dataclass(frozen=True, slots=True)
class ForkFailed:
    name: str
    incarnation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A child is dead and reaped. `signal` is 0 unless a signal ended it.

    `last_words` is what it said stands in its way, where it ended for a reason that somebody must mend.
    """

    name: str
    pid: int
    code: int
    signal: int
    last_words: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """The answer to a Probe: `health` as the child said it, or empty with the reason why there is none."""

    name: str
    incarnation: int
    health: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wake:
    """The time that `next_wake` named has come."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Somebody wants this child stopped in order and started anew."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop all, in reverse order."""


Event = Start | ParentReady | ParentLost | Forked | ForkFailed | Exited | Probed | Wake | Restart | Stop


@dataclass(frozen=True, slots=True)
class StartParent:
    """Start a warm parent; ParentReady follows, or ParentLost."""


@dataclass(frozen=True, slots=True)
class KillParent:
    """The warm parent hangs; ParentLost follows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fork:
    """Ask the warm parent for this child; Forked or ForkFailed follows."""

    name: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    pid: int
    signal: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the child for its health; Probed follows."""

    name: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell whoever listens.

    `what` is one of starting, serving, unhealthy, killed, exited, failed, stopping, stopped.
    """

    name: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AllStopped:
    """Nothing is left to wait for."""


Action = StartParent | KillParent | Fork | Signal | Probe | Announce | AllStopped
