"""The queues of one priority level: whose turn is next.

A flow is dealt a hand of queues by its hash (shuffle sharding) and waits in the one of its hand with the least work: a
flow that floods its hand leaves most queues, and so most other flows, untouched. Among queues, turns are given by
start-time fair queuing over seat-seconds: each queue has a virtual time up to which it has had its share, the queue
that is furthest behind is next, and what a turn really took is settled when it ends. A queue that had nothing to ask
for gathers no claim.

Source: KEP-1040; P. Goyal et al., Start-time Fair Queuing, 1996. Pure; `now` is given in seconds.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

ESTIMATED_SERVICE_S = 0.003  # of a turn, until it is known; Kubernetes' guess too
REMEMBERED_HANDS = 4096  # flows whose hand is known
DEALT_BYTES = 16  # of hash: more than the 60 bits that validation allows a hand to take


class Turn:
    """One request's claim to seats: waiting in `queue`, or seated (`started` says when)."""

    __slots__ = ("arrived", "flow", "level", "queue", "schema", "seated", "started", "width")

    def __init__(self, schema: Any, level: Any, width: int, now: float) -> None:
        self.schema = schema
        self.level = level
        self.width = width
        self.arrived = now
        self.started = now
        self.seated = False
        self.flow: tuple[str, str] = ("", "")
        self.queue: Queue | None = None


class Queue:
    __slots__ = ("finish", "in_use", "turns", "waiting_seats")

    def __init__(self) -> None:
        self.turns: deque[Turn] = deque()
        self.finish = 0.0  # virtual time up to which the queue has had its share
        self.waiting_seats = 0
        self.in_use = 0  # seats that turns out of it hold

    @property
    def work(self) -> int:
        return self.waiting_seats + self.in_use

    def settle(self, turn: Turn, took_s: float) -> None:
        """A turn out of this queue has ended: charge what it really took."""
        self.in_use -= turn.width
        self.finish += turn.width * (took_s - ESTIMATED_SERVICE_S)


class FairQueues:
    """`count`, `hand_size`, `length_limit` as in a QueuingConfiguration; none when the level rejects at once."""

    def __init__(self, queuing: Mapping[str, Any] | None) -> None:
        self._count = (queuing or {}).get("queues", 0)
        self._hand_size = (queuing or {}).get("handSize", 0)
        self._length_limit = (queuing or {}).get("queueLengthLimit", 0)
        self._queues: dict[int, Queue] = {}  # made when they are first dealt
        self._active: dict[int, Queue] = {}  # those that are not empty, by id of the queue
        self._hands: dict[tuple[str, str], tuple[int, ...]] = {}
        self._virtual = 0.0

    @property
    def rejects(self) -> bool:
        return not self._count

    def join(self, turn: Turn) -> bool:
        """Let a turn wait; False when its queue is full."""
        queue = min((self._queue(i) for i in self._hand(turn.flow)), key=lambda one: one.work)
        if len(queue.turns) >= self._length_limit:
            return False
        if not queue.turns:
            self._active[id(queue)] = queue
            queue.finish = max(queue.finish, self._virtual)
        queue.turns.append(turn)
        queue.waiting_seats += turn.width
        turn.queue = queue
        return True

    def next(self) -> Turn | None:
        """Whose turn is next; it stays where it is until `serve`."""
        if not self._active:
            return None
        return min(self._active.values(), key=lambda queue: queue.finish).turns[0]

    def serve(self, turn: Turn) -> None:
        """The turn that is next gets its seats."""
        queue = turn.queue
        assert queue is not None, "only waiting turns are served"
        assert queue.turns[0] is turn, "in the order in which they came"
        self._virtual = max(self._virtual, queue.finish)
        queue.turns.popleft()
        self._left(queue, turn)
        queue.in_use += turn.width
        queue.finish += turn.width * ESTIMATED_SERVICE_S

    def abandon(self, turn: Turn) -> None:
        """A turn waits no longer."""
        queue = turn.queue
        assert queue is not None, "only waiting turns are abandoned"
        queue.turns.remove(turn)
        self._left(queue, turn)
        turn.queue = None

    def waiting(self) -> list[Turn]:
        """Every waiting turn, in the order of arrival."""
        return sorted((turn for queue in self._active.values() for turn in queue.turns), key=lambda t: t.arrived)

    def _left(self, queue: Queue, turn: Turn) -> None:
        queue.waiting_seats -= turn.width
        if not queue.turns:
            del self._active[id(queue)]

    def _queue(self, index: int) -> Queue:
        return self._queues.get(index) or self._queues.setdefault(index, Queue())

    def _hand(self, flow: tuple[str, str]) -> tuple[int, ...]:
        hand = self._hands.get(flow)
        if hand is None:
            if len(self._hands) >= REMEMBERED_HANDS:
                self._hands.clear()
            hand = self._hands[flow] = deal(flow, self._count, self._hand_size)
        return hand


def deal(flow: tuple[str, str], deck: int, hand_size: int) -> tuple[int, ...]:
    """Return `hand_size` different numbers below `deck`, always the same ones for a flow."""
    digest = hashlib.blake2b("\0".join(flow).encode(), digest_size=DEALT_BYTES).digest()
    number = int.from_bytes(digest, "big")
    dealt: list[int] = []
    for i in range(min(hand_size, deck)):
        number, card = divmod(number, deck - i)
        for earlier in sorted(dealt):  # the card-th of those that are left
            if card >= earlier:
                card += 1
        dealt.append(card)
    return tuple(dealt)
