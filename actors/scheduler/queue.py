"""The scheduling queue: which pod is next, and when one that could not be placed is worth another try.

    active          ready, by priority, then by time
    backoff         tried and failed; waits 1 s, doubled with each attempt up to 10 s
    unschedulable   no node would take it; waits for an event that helps a filter that refused it, or for 5 minutes
    gated           has scheduling gates; waits until its spec changes

An event moves a pod to active, or to backoff while its backoff lasts. A pod that was popped stays known (in flight)
until it is bound, removed or handed back. Pure: time comes in as an argument.

Neighbours: `core` is the only caller.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

INITIAL_BACKOFF_S = 1.0
MAX_BACKOFF_S = 10.0
UNSCHEDULABLE_FLUSH_S = 300.0  # a lost event must not strand a pod for longer


class State(Enum):
    ACTIVE = "active"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"
    IN_FLIGHT = "in_flight"


@dataclass(slots=True)
class QueuedPod:
    key: str
    priority: int
    state: State
    since_s: float  # when it entered its state
    attempts: int = 0
    backoff_until_s: float = 0.0
    plugins: frozenset[str] = field(default_factory=frozenset)  # that refused it
    ticket: int = 0  # names its one valid entry in a heap; entries with an older ticket are dropped when met


class SchedulingQueue:
    """`events_of` maps a plugin's name to the cluster events that may make it accept a pod."""

    def __init__(self, events_of: Mapping[str, frozenset[str]]) -> None:
        self._events_of = events_of
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[int, float, int, str]] = []
        self._waiting: list[tuple[float, int, str]] = []  # backoff ends and unschedulable flushes
        self._unschedulable: dict[frozenset[str], set[str]] = {}
        self._counts = dict.fromkeys(State, 0)
        self._tickets = 0

    def __contains__(self, key: str) -> bool:
        return key in self._pods

    def state(self, key: str) -> State | None:
        pod = self._pods.get(key)
        return pod.state if pod else None

    def counts(self) -> dict[str, int]:
        return {state.value: count for state, count in self._counts.items()}

    def add(self, key: str, priority: int, now_s: float, gated: bool = False) -> None:
        """Take in a pod that is new, or whose spec changed: it is worth a try at once."""
        pod = self._pods.get(key)
        if pod is not None:
            if pod.state is State.IN_FLIGHT:
                pod.priority = priority
                return
            self._leave(pod)
            self._counts[pod.state] -= 1
        pod = self._pods[key] = QueuedPod(key, priority, State.GATED, now_s, attempts=pod.attempts if pod else 0)
        self._counts[State.GATED] += 1
        if not gated:
            self._activate(pod, now_s)

    def remove(self, key: str) -> None:
        """Forget a pod: it is bound, gone, or no longer ours."""
        pod = self._pods.pop(key, None)
        if pod is not None:
            self._leave(pod)
            self._counts[pod.state] -= 1

    def pop(self, now_s: float) -> str | None:
        """Return the key of the next pod to try; it is in flight from then on."""
        self.flush(now_s)
        while self._active:
            _, _, ticket, key = heapq.heappop(self._active)
            pod = self._pods.get(key)
            if pod is not None and pod.ticket == ticket:
                self._become(pod, State.IN_FLIGHT)
                pod.ticket = 0
                pod.attempts += 1
                return key
        return None

    def unschedulable(self, key: str, plugins: frozenset[str], now_s: float) -> None:
        """Hand back a popped pod that no node would take, for the reasons of `plugins`."""
        pod = self._pods.get(key)
        if pod is None:
            return
        self._enter(pod, State.UNSCHEDULABLE, now_s)
        pod.plugins = plugins
        pod.backoff_until_s = now_s + backoff_s(pod.attempts)
        self._unschedulable.setdefault(plugins, set()).add(key)
        heapq.heappush(self._waiting, (now_s + UNSCHEDULABLE_FLUSH_S, pod.ticket, key))

    def retry(self, key: str, now_s: float) -> None:
        """Hand back a popped pod whose binding failed; it is tried again after its backoff."""
        pod = self._pods.get(key)
        if pod is not None:
            pod.backoff_until_s = now_s + backoff_s(pod.attempts)
            self._back_off(pod, now_s)

    def move(self, event: str, now_s: float) -> int:
        """Bring back the unschedulable pods that this event may help; return how many."""
        helped = [plugins for plugins in self._unschedulable if self._helps(event, plugins)]
        moved = 0
        for plugins in helped:
            for key in sorted(self._unschedulable.pop(plugins)):
                self._bring_back(self._pods[key], now_s)
                moved += 1
        return moved

    def flush(self, now_s: float) -> None:
        """Bring back pods whose backoff, or whose time among the unschedulable, is over."""
        while self._waiting and self._waiting[0][0] <= now_s:
            _, ticket, key = heapq.heappop(self._waiting)
            pod = self._pods.get(key)
            if pod is None or pod.ticket != ticket:
                continue
            self._leave(pod)
            self._activate(pod, now_s)

    def next_wake_s(self) -> float | None:
        """Return when `flush` will next have something to do; None: never."""
        while self._waiting:
            at_s, ticket, key = self._waiting[0]
            pod = self._pods.get(key)
            if pod is not None and pod.ticket == ticket:
                return at_s
            heapq.heappop(self._waiting)
        return None

    @property
    def ready(self) -> bool:
        """Say whether `pop` would return a pod without waiting for time to pass."""
        while self._active:
            _, _, ticket, key = self._active[0]
            pod = self._pods.get(key)
            if pod is not None and pod.ticket == ticket:
                return True
            heapq.heappop(self._active)
        return False

    def validate(self) -> None:
        """Assert what must hold between the parts; tests call it after each step."""
        assert sum(self._counts.values()) == len(self._pods)
        assert all(count == sum(p.state is s for p in self._pods.values()) for s, count in self._counts.items())
        waiting = {key for keys in self._unschedulable.values() for key in keys}
        assert waiting == {key for key, pod in self._pods.items() if pod.state is State.UNSCHEDULABLE}

    def _helps(self, event: str, plugins: frozenset[str]) -> bool:
        return any(event in self._events_of[plugin] for plugin in plugins)

    def _bring_back(self, pod: QueuedPod, now_s: float) -> None:
        if pod.backoff_until_s > now_s:
            self._back_off(pod, now_s)
        else:
            self._activate(pod, now_s)

    def _back_off(self, pod: QueuedPod, now_s: float) -> None:
        self._enter(pod, State.BACKOFF, now_s)
        heapq.heappush(self._waiting, (pod.backoff_until_s, pod.ticket, pod.key))

    def _activate(self, pod: QueuedPod, now_s: float) -> None:
        self._enter(pod, State.ACTIVE, now_s)
        heapq.heappush(self._active, (-pod.priority, now_s, pod.ticket, pod.key))

    def _enter(self, pod: QueuedPod, state: State, now_s: float) -> None:
        self._tickets += 1
        pod.since_s, pod.ticket = now_s, self._tickets
        self._become(pod, state)

    def _become(self, pod: QueuedPod, state: State) -> None:
        self._counts[pod.state] -= 1
        self._counts[state] += 1
        pod.state = state

    def _leave(self, pod: QueuedPod) -> None:
        pod.ticket = 0
        waiting = self._unschedulable.get(pod.plugins)
        if waiting is not None:
            waiting.discard(pod.key)
            if not waiting:
                del self._unschedulable[pod.plugins]


def backoff_s(attempts: int) -> float:
    """Return how long a pod waits after that many attempts."""
    return min(MAX_BACKOFF_S, INITIAL_BACKOFF_S * 2.0 ** min(max(attempts - 1, 0), 10))
