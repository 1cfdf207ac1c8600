"""The supervisor's decisions, without processes, sockets or a clock: events in, actions out.

Order owed: a child starts for the first time after all in its `after` have served; it is told to stop after all that
come after it have stopped. Restarts are one for one: whoever talked to a crashed child copes by itself.
At most one life of a child exists at a time: a new fork is asked for only when the exit of the last life was seen.

Neighbours: `child` is the state of one child, `events` the vocabulary, `shell` carries actions out.
"""

from collections.abc import Iterable
from enum import Enum

from runtime.supervisor.child import ALIVE, Child, Phase
from runtime.supervisor.events import (
    Action,
    AllStopped,
    Announce,
    Event,
    Exited,
    Forked,
    ForkFailed,
    KillParent,
    ParentLost,
    ParentReady,
    Probed,
    Restart,
    Start,
    StartParent,
    Stop,
    Wake,
)
from runtime.supervisor.spec import ChildSpec, RestartPolicy, check_specs

PARENT = "warm-parent"  # its name in announcements
PARENT_START_DEADLINE_S = 30.0  # from its start to its first word; it imports before that on a slow, cold disk


class Parent(Enum):
    """The warm parent's phases."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"


class Core:
    """All children and the warm parent. `handle` is the only mutator."""

    def __init__(self, specs: Iterable[ChildSpec], policy: RestartPolicy | None = None):
        specs = list(specs)
        check_specs(specs)
        self.policy = policy or RestartPolicy()
        self.children = {spec.name: Child(spec, self.policy) for spec in specs}
        self.parent = Parent.DOWN
        self.stopping = False
        self.parent_crashes: list[float] = []
        self._parent_wake_at: float | None = None
        self._told_stopped = False
        self._before: dict[str, list[Child]] = {spec.name: [] for spec in specs}
        for child in self.children.values():
            for needed in child.spec.after:
                self._before[needed].append(child)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event; return what to do, in this order."""
        return self._react(event, now) + self._advance(now)

    def next_wake(self) -> float | None:
        """Return when a Wake is due at the latest, if no other event comes before."""
        times = [self._parent_wake_at]
        for child in self.children.values():
            times.append(child.probe_at)
            if child.phase in ALIVE or self.parent is Parent.READY:
                times.append(child.wake_at)
        due = [time for time in times if time is not None]
        return min(due, default=None)

    def _react(self, event: Event, now: float) -> list[Action]:
        match event:
            case Start():
                return self._start_parent(now)
            case ParentReady():
                self.parent = Parent.READY
                self._parent_wake_at = None
                return [Announce(PARENT, "serving")]
            case ParentLost(reason):
                return self._parent_lost(reason, now)
            case Restart(name):
                return [] if self.stopping else self.children[name].stop(now, again=True)
            case Stop():
                self.stopping = True
                self._parent_wake_at = None
                return []
            case Wake():
                return self._wake(now)
            case _:
                return self._about_child(event, now)

    def _about_child(self, event: Event, now: float) -> list[Action]:
        match event:
            case Forked(name, incarnation, pid):
                child = self.children[name]
                assert child.incarnation == incarnation and child.pid == 0, f"a second life of {name}"
                return child.forked(pid, now)
            case ForkFailed(name, _, reason):
                return self.children[name].ended(f"fork failed: {reason}", now)
            case Exited(name, pid, code, signal, last_words):
                child = self.children[name]
                if pid != child.pid:
                    return []
                if last_words:
                    return child.cannot_serve(last_words, now)
                return child.ended(f"signal {signal}" if signal else f"exit code {code}", now)
            case Probed(name, incarnation, health, reason):
                child = self.children[name]
                return child.probed(health, reason, now) if incarnation == child.incarnation else []
            case _:
                raise AssertionError(f"no such event: {event!r}")

    def _start_parent(self, now: float) -> list[Action]:
        self.parent = Parent.STARTING
        self._parent_wake_at = now + PARENT_START_DEADLINE_S
        return [StartParent()]

    def _wake_parent(self, now: float) -> list[Action]:
        if self._parent_wake_at is None or now < self._parent_wake_at:
            return []
        if self.parent is Parent.BACKOFF:
            return self._start_parent(now)
        self._parent_wake_at = now + PARENT_START_DEADLINE_S
        return [KillParent("it is not ready in time")]

    def _parent_lost(self, reason: str, now: float) -> list[Action]:
        actions: list[Action] = [Announce(PARENT, "exited", reason)]
        for child in self.children.values():
            if child.phase in ALIVE:
                actions += child.lost_with_parent()
        self.parent = Parent.DOWN
        if self.stopping:
            return actions
        recent = [time for time in self.parent_crashes if time >= now - self.policy.window_s]
        self.parent_crashes = [*recent, now][-self.policy.intensity - 1 :]
        backoff_s = self.policy.backoff_s(len(self.parent_crashes))
        if backoff_s == 0.0:
            return actions + self._start_parent(now)
        self.parent = Parent.BACKOFF
        self._parent_wake_at = now + backoff_s
        return actions

    def _wake(self, now: float) -> list[Action]:
        actions = self._wake_parent(now)
        for child in self.children.values():
            if child.probe_at is not None and now >= child.probe_at:
                actions += child.probe()
            if child.wake_at is not None and now >= child.wake_at and child.phase in ALIVE:
                actions += child.overdue(now)
        return actions

    def _advance(self, now: float) -> list[Action]:
        """Whatever the last event made possible."""
        if self.stopping:
            return self._advance_stop(now)
        if self.parent is not Parent.READY:
            return []
        actions: list[Action] = []
        for child in self.children.values():
            if self._may_start(child, now):
                actions += child.fork(now)
        return actions

    def _may_start(self, child: Child, now: float) -> bool:
        if child.phase is Phase.WAITING:
            return all(self.children[needed].has_served for needed in child.spec.after)
        return child.phase in (Phase.BACKOFF, Phase.FAILED) and child.wake_at is not None and now >= child.wake_at

    def _advance_stop(self, now: float) -> list[Action]:
        actions: list[Action] = []
        progress = True
        while progress:  # a child that never ran stops at once, which may free the one before it
            progress = False
            for child in reversed(self.children.values()):
                if child.phase in (Phase.STOPPING, Phase.STOPPED):
                    child.again = False
                    continue
                if all(later.phase is Phase.STOPPED for later in self._before[child.name]):
                    actions += child.stop(now, again=False)
                    progress = True
        if not self._told_stopped and all(child.phase is Phase.STOPPED for child in self.children.values()):
            self._told_stopped = True
            actions.append(AllStopped())
        return actions
