"""A free address out of a range: one at random, or, where the range is nearly full, one that is known to be free.

Nothing is kept in memory: a candidate is tried by the txn that claims it. After some refusals the taken keys are read
from the state, so that a full range is told from bad luck.

Neighbours: `services`.
"""

import ipaddress
import random
from collections.abc import Callable

from actors.apiserver.storage.client import StateClient
from actors.state.messages import Range

RANDOM_TRIES = 6  # before the taken keys are read: in a range that is half full, 98 % of claims succeed within these
RANGES = b"/registry/ranges/"
CLUSTER_IPS = RANGES + b"clusterips/"
NODE_PORTS = RANGES + b"nodeports/"
TAKEN_PAGE = 10_000


class Places:
    """Numbered places; place `i` has the key `prefix + name(i)`."""

    def __init__(self, prefix: bytes, first: int, last: int, name: Callable[[int], str], reserved: frozenset[int]):
        self.prefix = prefix
        self.first = first
        self.last = last
        self._name = name
        self.reserved = reserved  # never given by chance; may be asked for

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
                place = choose.randint(self.first, self.last)
                if place not in self.reserved and self.key(place) not in refused:
                    return place
        taken = await self._taken(state) | refused
        start = choose.randint(self.first, self.last)
        for offset in range(self.last - self.first + 1):
            place = self.first + (start - self.first + offset) % (self.last - self.first + 1)
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


def cluster_ips(cidr: str) -> Places:
    """The addresses of Services: all of the network but its first, its last and, by chance, the API server's own."""
    network = ipaddress.ip_network(cidr)
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    kind = type(network.network_address)
    return Places(CLUSTER_IPS, first, last, lambda place: str(kind(place)), frozenset({first}))


def node_ports(span: str) -> Places:
    """The node ports of a span such as 30000-32767."""
    first, _, last = span.partition("-")
    return Places(NODE_PORTS, int(first), int(last or first), str, frozenset())
