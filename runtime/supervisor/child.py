"""One child in the supervisor's core: its phase, and what brings it from one phase to the next.

    WAITING -> FORKING -> STARTING -> SERVING
                  |           |          |
                  +--------> BACKOFF <---+      a crash; FAILED is a BACKOFF after too many of them
    any       -> STOPPING -> STOPPED            on Stop; WAITING again instead, on Restart

A new life of a child has a new incarnation number, so that answers about an old life are recognised and dropped.
Neighbour: `core` owns the children and decides when.
"""

import enum
import signal
from collections import deque

from runtime.supervisor.events import Action, Announce, Fork, KillParent, Probe, Signal
from runtime.supervisor.spec import ChildSpec, RestartPolicy


class Phase(enum.Enum):
    WAITING = "waiting"
    FORKING = "forking"
    STARTING = "starting"
    SERVING = "serving"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


ALIVE = frozenset({Phase.FORKING, Phase.STARTING, Phase.SERVING, Phase.STOPPING})
SERVING_WORD = "serving"  # what a child answers to a health check when it does its work


class Child:
    """State of one child. Methods return what is to be done; times are monotonic seconds."""

    def __init__(self, spec: ChildSpec, policy: RestartPolicy):
        self.spec = spec
        self.policy = policy
        self.phase = Phase.WAITING
        self.pid = 0  # 0: none
        self.incarnation = 0
        self.restarts = 0
        self.has_served = False
        self.is_healthy = False
        self.started_at = 0.0
        self.reason = ""  # why it is not serving
        self.wake_at: float | None = None  # of the phase: retry, deadline
        self.probe_at: float | None = None
        self.failed_probes = 0
        self.again = False  # STOPPING in order to start anew
        self.gave_up = False  # it crashed too often, and has not served for a whole window since
        self.served_at = 0.0
        self.crashes: deque[float] = deque(maxlen=policy.intensity + 1)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def health(self) -> str:
        """What `kubus status` shows: a phase's word, or `unhealthy` for a child that stopped answering."""
        if self.phase is Phase.SERVING and not self.is_healthy:
            return "unhealthy"
        return self.phase.value

    def fork(self, now: float) -> list[Action]:
        self.phase = Phase.FORKING
        self.incarnation += 1
        self.pid = 0
        self.again = False
        self.failed_probes = 0
        self.wake_at = now + self.spec.start_deadline_s
        self.probe_at = None
        return [Fork(self.name, self.incarnation), Announce(self.name, "starting")]

    def forked(self, pid: int, now: float) -> list[Action]:
        self.pid = pid
        self.started_at = now
        if self.phase is Phase.STOPPING:
            return self._terminate(now)
        self.phase = Phase.STARTING
        self.probe_at = now
        return []

    def probe(self) -> list[Action]:
        self.probe_at = None
        return [Probe(self.name, self.incarnation)]

    def probed(self, health: str, reason: str, now: float) -> list[Action]:
        if self.phase is Phase.STARTING:
            return self._probed_while_starting(health, reason, now)
        if self.phase is Phase.SERVING:
            return self._probed_while_serving(health, reason, now)
        return []

    def _probed_while_starting(self, health: str, reason: str, now: float) -> list[Action]:
        if health != SERVING_WORD:
            self.reason = reason or health
            self.probe_at = now + self.policy.start_probe_s
            return []
        self.phase = Phase.SERVING
        self.has_served = self.is_healthy = True
        self.served_at = now
        self.reason = ""
        self.wake_at = None
        self.failed_probes = 0
        self.probe_at = now + self.policy.health_period_s
        return [Announce(self.name, "serving", f"in {now - self.started_at:.2f} s")]

    def _probed_while_serving(self, health: str, reason: str, now: float) -> list[Action]:
        self.probe_at = now + self.policy.health_period_s
        if health == SERVING_WORD:
            back = not self.is_healthy
            self.is_healthy, self.failed_probes, self.reason = True, 0, ""
            return [Announce(self.name, "serving", "again")] if back else []
        self.failed_probes += 1
        self.reason = reason or health
        actions: list[Action] = []
        if self.is_healthy:
            self.is_healthy = False
            actions.append(Announce(self.name, "unhealthy", self.reason))
        if self.failed_probes >= self.policy.health_failures:
            actions += self.kill(f"{self.failed_probes} health checks failed: {self.reason}", now)
        return actions

    def overdue(self, now: float) -> list[Action]:
        """The deadline of this phase is past: no life begun, not serving yet, or not gone in time."""
        if not self.pid:
            self.wake_at = now + self.spec.stop_deadline_s
            return [KillParent(f"it did not fork {self.name} in time")]
        if self.phase is Phase.STARTING:
            return self.kill(f"not serving after {self.spec.start_deadline_s:g} s: {self.reason}", now)
        if self.phase is Phase.STOPPING:
            return self.kill(f"not gone {self.spec.stop_deadline_s:g} s after TERM", now)
        return self.kill(self.reason, now)

    def kill(self, reason: str, now: float) -> list[Action]:
        """End a life that goes wrong. The exit that follows counts as a crash; repeat until it comes."""
        self.reason = reason
        self.probe_at = None
        self.wake_at = now + self.spec.stop_deadline_s
        return [Announce(self.name, "killed", reason), Signal(self.name, self.pid, signal.SIGKILL)]

    def stop(self, now: float, *, again: bool) -> list[Action]:
        """Begin an orderly end. A child whose fork is on its way gets its TERM when it is there."""
        self.again = again
        if self.phase is Phase.STOPPING or self.phase is Phase.STOPPED:
            return []
        if self.phase not in ALIVE:
            return self._ended()
        self.phase = Phase.STOPPING
        self.is_healthy = False
        self.probe_at = None
        self.wake_at = now + self.spec.stop_deadline_s
        return [Announce(self.name, "stopping"), *(self._terminate(now) if self.pid else [])]

    def _terminate(self, now: float) -> list[Action]:
        self.wake_at = now + self.spec.stop_deadline_s
        return [Signal(self.name, self.pid, signal.SIGTERM)]

    def ended(self, detail: str, now: float) -> list[Action]:
        """The process is gone, whoever ended it."""
        stopping = self.phase is Phase.STOPPING
        self.pid = 0
        self.is_healthy = False
        self.probe_at = None
        if stopping:
            return self._ended()
        return [Announce(self.name, "exited", self._why(detail)), *self._crashed(now)]

    def cannot_serve(self, why: str, now: float) -> list[Action]:
        """The process ended because somebody has to mend something: trying again soon would not help."""
        if self.phase is Phase.STOPPING:
            return self.ended(why, now)
        self.pid = 0
        self.is_healthy = False
        self.probe_at = None
        self.restarts += 1
        self.reason = why
        return self._fail(now, why)

    def _why(self, detail: str) -> str:
        self.reason = f"{detail} ({self.reason})" if self.reason else detail
        return self.reason

    def _ended(self) -> list[Action]:
        self.wake_at = None
        if self.again:
            self.again = False
            self.crashes.clear()  # whoever asks for a restart has looked after it: what was before says no more
            self.gave_up = False
            self.phase = Phase.WAITING
            self.restarts += 1
        else:
            self.phase = Phase.STOPPED
        return [Announce(self.name, "stopped")]

    def _crashed(self, now: float) -> list[Action]:
        if self.gave_up and self.phase is Phase.SERVING and now - self.served_at >= self.policy.window_s:
            self.gave_up = False
        self.crashes.append(now)
        while self.crashes and self.crashes[0] < now - self.policy.window_s:
            self.crashes.popleft()
        self.restarts += 1
        if self.gave_up or len(self.crashes) > self.policy.intensity:
            policy = self.policy
            often = f"it crashed more than {policy.intensity} times within {policy.window_s:g} s"
            return self._fail(now, f"{often}, the last time with: {self.reason}")
        self.phase = Phase.BACKOFF
        self.wake_at = now + self.policy.backoff_s(len(self.crashes))
        return []

    def _fail(self, now: float, why: str) -> list[Action]:
        self.phase = Phase.FAILED
        self.gave_up = True
        self.crashes.clear()
        self.wake_at = now + self.policy.failed_retry_s
        return [Announce(self.name, "failed", f"{why}; next try in {self.policy.failed_retry_s:g} s")]

    def lost_with_parent(self) -> list[Action]:
        """The warm parent took this child along: not the child's own crash, so it starts again without delay."""
        stopping = self.phase is Phase.STOPPING
        self.pid = 0
        self.is_healthy = False
        self.wake_at = self.probe_at = None
        if stopping:
            return self._ended()
        self.phase = Phase.WAITING
        self.restarts += 1
        return [Announce(self.name, "exited", "went down with the warm parent")]
