"""Leases: keys that go away when their owner stops saying that it lives.

Two halves, because time is not replicated. `LeaseTable` is part of the state machine: which leases there are, the time
to live that each was granted, and which keys hang on it; it changes only by applied commands. `Lessor` is the leader's
own: when each lease ends, by a monotonic clock that its caller passes in. An expired lease is revoked through the log
like any other. After a restart, or when another member takes the lead, every lease gets its full time again, as in
etcd: a lease may live longer than it was granted, never shorter.

Neighbours: `store` attaches keys; `machine` grants and revokes; `actor` asks for the expired ones.
"""

import heapq
from collections.abc import Iterable

from actors.state import errors

MIN_TTL_S = 1  # a shorter lease would expire between two of its owner's renewals
MAX_TTL_S = 9_000_000_000  # etcd's limit; beyond it a time in nanoseconds no longer fits 64 bits


def check_ttl(ttl_s: int) -> None:
    """Refuse a time to live that no lease can have."""
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise errors.invalid(f"lease ttl must be {MIN_TTL_S} to {MAX_TTL_S} seconds, not {ttl_s}")


class LeaseTable:
    """Which leases there are, and the keys of each."""

    def __init__(self) -> None:
        self._granted_ttl_s: dict[int, int] = {}
        self._keys: dict[int, set[bytes]] = {}  # only of leases that have keys

    def __contains__(self, lease: int) -> bool:
        return lease in self._granted_ttl_s

    def __len__(self) -> int:
        return len(self._granted_ttl_s)

    def ids(self) -> list[int]:
        return sorted(self._granted_ttl_s)

    def items(self) -> Iterable[tuple[int, int]]:
        """Return (lease, granted ttl in s) of each."""
        return self._granted_ttl_s.items()

    def ttl_s(self, lease: int) -> int:
        """Return the granted time to live; LEASE_NOT_FOUND when there is no such lease."""
        try:
            return self._granted_ttl_s[lease]
        except KeyError:
            raise errors.lease_not_found(lease) from None

    def keys(self, lease: int) -> list[bytes]:
        """Return the keys of a lease, in order."""
        return sorted(self._keys.get(lease, ()))

    def grant(self, lease: int, ttl_s: int) -> None:
        if lease in self._granted_ttl_s:
            raise errors.lease_exists(lease)
        self._granted_ttl_s[lease] = ttl_s

    def drop(self, lease: int) -> None:
        """Forget a lease whose keys are already gone."""
        assert not self._keys.get(lease), f"lease {lease} still has keys"
        del self._granted_ttl_s[lease]

    def attach(self, lease: int, key: bytes) -> None:
        assert lease in self._granted_ttl_s, f"a key was attached to lease {lease}, which does not exist"
        self._keys.setdefault(lease, set()).add(key)

    def detach(self, lease: int, key: bytes) -> None:
        keys = self._keys[lease]
        keys.remove(key)
        if not keys:
            del self._keys[lease]


class Lessor:
    """When each lease ends, on this member's monotonic clock. All times are seconds of that clock."""

    def __init__(self) -> None:
        self._ends_s: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []  # may hold ends that a renewal has moved; `expired` drops those
        self._revoking: set[int] = set()

    def renew_all(self, leases: Iterable[tuple[int, int]], now_s: float) -> None:
        """Give every lease its full time: after a restart, or on taking the lead."""
        self._ends_s = {lease: now_s + ttl_s for lease, ttl_s in leases}
        self._heap = [(end_s, lease) for lease, end_s in self._ends_s.items()]
        heapq.heapify(self._heap)
        self._revoking.clear()

    def renew(self, lease: int, ttl_s: int, now_s: float) -> None:
        """Start a lease's time anew; LEASE_NOT_FOUND once its revocation has been proposed."""
        if lease in self._revoking:
            raise errors.lease_not_found(lease)
        self._ends_s[lease] = now_s + ttl_s
        heapq.heappush(self._heap, (now_s + ttl_s, lease))
        if len(self._heap) > 2 * len(self._ends_s) + 64:  # renewals leave old ends behind; keep them under half
            self._heap = [(end_s, each) for each, end_s in self._ends_s.items()]
            heapq.heapify(self._heap)

    def forget(self, lease: int) -> None:
        """The lease is gone."""
        self._ends_s.pop(lease, None)
        self._revoking.discard(lease)

    def remaining_s(self, lease: int, now_s: float) -> float:
        """Return how long a lease still has, at least 0; LEASE_NOT_FOUND when it is not here."""
        end_s = self._ends_s.get(lease)
        if end_s is None:
            raise errors.lease_not_found(lease)
        return max(0.0, end_s - now_s)

    def expired(self, now_s: float) -> list[int]:
        """Return the leases whose time is over, each once: the caller now owes a revoke for each of them."""
        found = []
        while self._heap and self._heap[0][0] <= now_s:
            end_s, lease = heapq.heappop(self._heap)
            if self._ends_s.get(lease) == end_s and lease not in self._revoking:
                self._revoking.add(lease)
                found.append(lease)
        return found

    def retry(self, lease: int, now_s: float) -> None:
        """A revoke could not be written (no space): let `expired` return the lease again."""
        if lease in self._revoking:
            self._revoking.discard(lease)
            self._ends_s[lease] = now_s
            heapq.heappush(self._heap, (now_s, lease))
