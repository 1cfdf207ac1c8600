"""A free address out of a range: one at random, or, where the range is nearly full, one that is known to be free.

The first places of a range are for those who ask for one by name: by chance they are given only when all others are
taken. How many that are is Kubernetes' rule: a part of the range, within bounds.

Nothing is kept in memory: a candidate is tried by the txn that claims it. After some refusals the taken keys are read
from the state, so that a full range is told from bad luck.

Neighbours: `services`.
"""

import ipaddress
import random
from collections.abc import Callable

from actors.apiserver.allocate.ip_addresses import PREFIX
from actors.apiserver.storage.client import StateClient
from actors.state.messages import Range

RANDOM_TRIES = 6  # before the taken keys are read: in a range that is half full, 98 % of claims succeed within these
RANGES = b"/registry/ranges/"
NODE_PORTS = RANGES + b"nodeports/"
TAKEN_PAGE = 10_000
ADDRESS_BAND = (16, 16, 256)  # a sixteenth of a network, at least 16 and at most 256 addresses
NODE_PORT_BAND = (32, 16, 128)  # a thirty-second of the span


class Places:
    """Numbered places; place `i` has the key `prefix + name(i)`."""

    def __init__(
        self,
        prefix: bytes,
        first: int,
        last: int,
        name: Callable[[int], str],
        reserved: frozenset[int] = frozenset(),
        band: int = 0,
    ) -> None:
        self.prefix = prefix
        self.first = first
        self.last = last
        self._name = name
        self.reserved = reserved  # never given by chance; may be asked for
        self.dynamic = first + band  # places before it are given by chance only when all others are taken

    def name(self, place: int) -> str:
        return self._name(place)

    def key(self, place: int) -> bytes:
        return self.prefix + self._name(place).encode()

    def holds(self, place: int) -> bool:
        return self.first <= place <= self.last

    async def free(self, state: StateClient, refused: set[bytes], choose: random.Random) -> int | None:
        """Return a place that is free as far as is known; None when all are taken."""
        if sum(key.startswith(self.prefix) for key in refused) < RANDOM_TRIES:
            for _ in range(RANDOM_TRIES):
                place = choose.randint(self.dynamic, self.last)
                if place not in self.reserved and self.key(place) not in refused:
                    return place
        taken = await self._taken(state) | refused
        return self._untaken(self.dynamic, self.last, taken, choose) or self._untaken(
            self.first, self.dynamic - 1, taken, choose
        )

    def _untaken(self, first: int, last: int, taken: set[bytes], choose: random.Random) -> int | None:
        size = last - first + 1
        start = choose.randrange(size) if size > 0 else 0
        for offset in range(size):
            place = first + (start + offset) % size
            if place not in self.reserved and self.key(place) not in taken:
                return place
        return None

    async def _taken(self, state: StateClient) -> set[bytes]:
        taken: set[bytes] = set()
        key = self.prefix
        while True:
            reply = await state.range(Range(key, self.prefix[:-1] + b"0", limit=TAKEN_PAGE, keys_only=True))
            taken.update(kv.key for kv in reply.result.kvs)
            if not reply.result.more:
                return taken
            key = reply.result.kvs[-1].key + b"\0"


def cluster_ips(cidr: str, own: str) -> Places:
    """The addresses of a network for Services: all but its first, its last and, by chance, the API server's own.

    That one is the first of the cluster's `own` network.
    """
    network = ipaddress.ip_network(cidr, strict=False)
    start, end = int(network.network_address), int(network.broadcast_address)
    first, last = (start + 1, end - 1) if end - start >= 2 else (start, end)
    kind = type(network.network_address)
    reserved = frozenset({int(ipaddress.ip_network(own, strict=False).network_address) + 1})
    return Places(PREFIX, first, last, lambda place: str(kind(place)), reserved, _band(last - first + 1, ADDRESS_BAND))


def node_ports(span: str) -> Places:
    """The node ports of a span such as 30000-32767."""
    first, _, last = span.partition("-")
    start, end = int(first), int(last or first)
    return Places(NODE_PORTS, start, end, str, band=_band(end - start + 1, NODE_PORT_BAND))


def _band(size: int, rule: tuple[int, int, int]) -> int:
    """How many places at the front are kept from chance; none of a range as small as the least such part."""
    part, least, most = rule
    return min(max(least, size // part), most) if size > least else 0
