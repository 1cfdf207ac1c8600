"""When to forget history, and up to which revision.

As kube-apiserver does with etcd: every interval, compact to where the store was one interval ago. So a watch or a list
that is younger than an interval never finds its revision gone. History that grows faster than memory should bear is cut
shorter: readers that are behind get COMPACTED and list again, which is better than a process without bound.

Neighbours: `actor` asks once a second, and proposes the compaction.
"""

from collections import deque

CROWDED_BYTES = 256 << 20  # of superseded versions: from here on only the last CROWDED_KEEP_S are kept
CROWDED_KEEP_S = 30.0  # longer than any reader that keeps up is behind
FULL_BYTES = 2 * CROWDED_BYTES  # from here on nothing is kept


class Compactor:
    """Remembers when the store was at which revision. Times are seconds of a monotonic clock."""

    def __init__(self, interval_s: float, now_s: float, revision: int):
        self._interval_s = interval_s
        self._next_s = now_s + interval_s
        self._seen: deque[tuple[float, int]] = deque([(now_s, revision)])

    def tick(self, now_s: float, revision: int, compact_revision: int, superseded_bytes: int) -> int | None:
        """Return the revision to compact to, or None. Call it regularly, more often than CROWDED_KEEP_S."""
        self._seen.append((now_s, revision))
        if superseded_bytes > CROWDED_BYTES:
            keep_s = 0.0 if superseded_bytes > FULL_BYTES else min(CROWDED_KEEP_S, self._interval_s)
        elif now_s >= self._next_s:
            keep_s = self._interval_s
            self._next_s = now_s + self._interval_s
        else:
            return None
        wanted = compact_revision
        while self._seen and self._seen[0][0] <= now_s - keep_s:
            wanted = self._seen.popleft()[1]
        return wanted if wanted > compact_revision else None
