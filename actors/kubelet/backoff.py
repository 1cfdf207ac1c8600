"""How long to wait before a container is started again, or an image is pulled again.

As Kubernetes' kubelet does: the first restart is immediate, then 10 s, doubling up to 5 minutes; ten minutes without
trouble forget it all. Times are wall seconds, because they are compared with what the runtime says of a container's
end. They live in memory: a restarted kubelet begins anew.
"""

from dataclasses import dataclass

INITIAL_S = 10.0  # the API's documented behaviour, as are the two below
MAXIMUM_S = 300.0
FORGET_AFTER_S = 2 * MAXIMUM_S


def restart_backoff(maximum_s: float) -> "Backoff":
    """Return the backoff of a node's containers; a maximum below the usual beginning is the beginning, too."""
    return Backoff(min(INITIAL_S, maximum_s), maximum_s)


@dataclass(slots=True)
class _Entry:
    delay_s: float
    updated_s: float


class Backoff:
    """Delays by key. The caller asks `due_s`, waits until then, and says `started` as it tries again."""

    def __init__(self, initial_s: float = INITIAL_S, maximum_s: float = MAXIMUM_S):
        self._initial_s = initial_s
        self._maximum_s = maximum_s
        self._entries: dict[str, _Entry] = {}

    def due_s(self, key: str, failed_s: float) -> float:
        """Return when a try after the failure at `failed_s` is due; a time in the past means now."""
        entry = self._live(key, failed_s)
        return failed_s if entry is None else failed_s + entry.delay_s

    def delay_s(self, key: str, failed_s: float) -> float:
        """Return the delay that `due_s` adds, for messages."""
        entry = self._live(key, failed_s)
        return 0.0 if entry is None else entry.delay_s

    def started(self, key: str, failed_s: float, now_s: float) -> None:
        """Note a new try after the failure at `failed_s`: the next one waits longer."""
        entry = self._live(key, failed_s)
        delay_s = self._initial_s if entry is None else min(entry.delay_s * 2, self._maximum_s)
        self._entries[key] = _Entry(delay_s, now_s)

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def forget_all(self, prefix: str) -> None:
        """Forget every key that begins so: those of a pod that is gone."""
        for key in [key for key in self._entries if key.startswith(prefix)]:
            del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def _live(self, key: str, failed_s: float) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and failed_s - entry.updated_s > FORGET_AFTER_S:
            return None
        return entry
