"""Objects that go by themselves some time after their last write, as Events do: their keys hang on a lease.

One lease serves all that is written within a minute, for each is a timer at the state's leader; so an object lives up
to a minute longer than it is said to. What goes is seen by watchers as any removal.

Neighbours: `store` asks for the lease of what it writes; the state actor removes the keys.
"""

from collections.abc import Mapping

from actors.apiserver.storage.client import StateClient
from runtime.clock import Clock

SHARED_S = 60.0  # for which a lease takes on objects


class Lifetimes:
    def __init__(self, state: StateClient, clock: Clock, lifetimes_s: Mapping[bytes, int]) -> None:
        """`lifetimes_s` is by storage prefix; what is under another one stays until it is deleted."""
        self._state = state
        self._clock = clock
        self._lifetimes_s = {prefix: lifetime_s for prefix, lifetime_s in lifetimes_s.items() if lifetime_s > 0}
        self._leases: dict[bytes, tuple[int, float]] = {}  # lease, and until when it takes on more

    def are_limited(self, prefix: bytes) -> bool:
        return prefix in self._lifetimes_s

    async def lease(self, prefix: bytes) -> int:
        """Return the lease for an object that is written now. Raises BusError."""
        now_s = self._clock.monotonic()
        lease, until_s = self._leases.get(prefix, (0, 0.0))
        if now_s < until_s:
            return lease
        lease = await self._state.lease_grant(self._lifetimes_s[prefix] + int(SHARED_S))
        self._leases[prefix] = lease, now_s + SHARED_S
        return lease

    def forget(self, prefix: bytes) -> None:
        """The lease is gone before its time: somebody revoked it, or the state was restored."""
        self._leases.pop(prefix, None)
