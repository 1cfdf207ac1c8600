"""What is known of the API servers behind a balancer, and which of them gets the next connection.

Each is asked all the time whether it is ready. An answer says UP or, of one that ends or has lost its state, DRAINING:
it gets nothing new as long as another is UP, and keeps the connections that it has. One that is silent is SUSPECT at
first and gets nothing new; if it stays silent it is DOWN, and its connections are cut, for a client that waits for an
answer from a machine that hangs or is out of reach would wait for ever. One that says that its state does not answer
is LOST: while others are UP its clients would wait in vain, so their connections are cut too, unless all are about to
get over it. One that refuses to be connected is DOWN at once; its connections are gone by themselves.

Pure: times are handed in, as monotonic seconds. Neighbours: `actor` asks, connects and cuts.
"""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A busy API server answers within some tens of milliseconds; a loop that is stalled for longer is rare. Silence until
# DOWN is within the second in which clients want to go on, and longer than the state takes to elect another leader.
SUSPECT_AFTER_S = 0.3
DOWN_AFTER_S = 0.55
# Of being LOST beside one that is UP all that time. After an election some hear of the new leader a moment later.
FORSAKEN_AFTER_S = 0.2


class Health(enum.IntEnum):
    """In the order of preference."""

    UP = 0
    DRAINING = 1
    LOST = 2
    SUSPECT = 3
    DOWN = 4


@dataclass(slots=True)
class Backend:
    """`heard_at`: when it last answered; `since`: when it became what it is; `is_forsaken`: and was cut for that."""

    name: str
    heard_at: float
    health: Health = Health.DOWN
    connections: int = 0
    since: float = 0.0
    is_forsaken: bool = False

    def become(self, health: Health, now: float) -> None:
        if health is not self.health:
            self.health, self.since, self.is_forsaken = health, now, False


class Backends:
    """All API servers by name."""

    def __init__(self, names: Iterable[str], now: float):
        self._backends = {name: Backend(name, now - DOWN_AFTER_S) for name in names}

    def __getitem__(self, name: str) -> Backend:
        return self._backends[name]

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._backends.values())

    def answered(self, name: str, *, is_ready: bool, now: float, is_lost: bool = False) -> None:
        backend = self._backends[name]
        backend.heard_at = now
        backend.become(Health.UP if is_ready else Health.LOST if is_lost else Health.DRAINING, now)

    def silent(self, name: str, now: float) -> bool:
        """It has not answered. Return whether it is given up just now, and its connections are to be cut."""
        backend = self._backends[name]
        silence_s = now - backend.heard_at
        if silence_s >= DOWN_AFTER_S:
            was_alive = backend.health is not Health.DOWN
            backend.become(Health.DOWN, now)
            return was_alive
        if silence_s >= SUSPECT_AFTER_S:
            backend.become(Health.SUSPECT, now)
        return False

    def forsaken(self, name: str, now: float) -> bool:
        """Return whether it has just become useless: it has lost its state, another has not, and neither changes."""
        backend = self._backends[name]
        if backend.health is not Health.LOST or backend.is_forsaken:
            return False
        steady_since = now - FORSAKEN_AFTER_S
        is_better = any(each.health is Health.UP and each.since <= steady_since for each in self)
        backend.is_forsaken = is_better and backend.since <= steady_since
        return backend.is_forsaken

    def refused(self, name: str, now: float) -> None:
        """Nobody listens there."""
        self._backends[name].become(Health.DOWN, now)

    def in_order(self) -> list[str]:
        """Return whom to try for a new connection: the healthiest, among them those with the fewest connections.

        Whoever is DOWN comes last and is tried all the same: what is known of it may be old.
        """
        order = sorted(self._backends.values(), key=lambda backend: (backend.health, backend.connections))
        return [backend.name for backend in order]
