"""Priority and fairness as a core: requests enter and leave, and each gets a seat, a place in a queue, or a refusal.

A request that finds a free seat and nobody waiting costs a look at a table and some counting. Only where there is
contention do queues and fair turns come in. A freed seat goes to the level that uses least of its own, so that lenders
get theirs back before borrowers get more.

Pure: `now` is given in monotonic seconds; whoever is seated by another's leaving is returned, for `gate` to wake.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.call import Identity
from actors.apiserver.fairness import defaults
from actors.apiserver.fairness.queues import FairQueues, Turn
from actors.apiserver.fairness.schemas import Classifier, Schema
from actors.apiserver.fairness.seats import Level, Seats
from actors.apiserver.request_info import RequestInfo

CONCURRENCY_LIMIT, QUEUE_FULL, TIME_OUT = "concurrency-limit", "queue-full", "time-out"
FALLBACK = "catch-all"
_NOBODY: tuple[Turn, ...] = ()


class Rejected(Exception):
    """There is no seat, and no place to wait for one. `args[0]` is the reason."""


class Fairness:
    def __init__(self, seats: int) -> None:
        self.seats = Seats(seats)
        self._queues: dict[str, FairQueues] = {}
        self._schemas: dict[str, Schema] = {}
        self.waiting = 0
        self.configure((), ())

    def configure(self, schemas: Iterable[Mapping[str, Any]], levels: Iterable[Mapping[str, Any]]) -> list[Turn]:
        """Take over the FlowSchemas and PriorityLevelConfigurations; return who is seated by that.

        Requests that run go on; those that wait are queued anew, by the new rules of their level.
        """
        waiting = [turn for queues in self._queues.values() for turn in queues.waiting()]
        specs = {
            obj["metadata"]["name"]: (obj["metadata"].get("uid", ""), obj.get("spec") or {})
            for obj in (*defaults.MANDATORY_LEVELS, *levels)
        }
        self.seats.configure(specs)
        self._queues = {name: FairQueues(_queuing(spec)) for name, (_, spec) in specs.items()}
        self._compile((*defaults.MANDATORY_SCHEMAS, *schemas))
        seated = [turn for turn in sorted(waiting, key=lambda turn: turn.arrived) if not self._queued_again(turn)]
        return seated + self._seat_waiting(max((turn.arrived for turn in waiting), default=0.0))

    def enter(self, identity: Identity, info: RequestInfo, width: int, now: float) -> Turn:
        """Let a request in: the turn is seated at once, or waits. Raises Rejected."""
        schema = self.classifier.schema_of(identity, info)
        level = self.seats.levels[schema.level]
        turn = Turn(schema, level, 1 if width <= 1 else max(1, min(width, level.nominal)), now)
        if not level.waiting and self._may_take(level, turn.width) and self.seats.take(level, turn.width):
            turn.seated = True
            schema.dispatched += 1
            return turn
        queues = self._queues[schema.level]
        if queues.rejects:
            raise self._rejected(schema, CONCURRENCY_LIMIT)
        turn.flow = (schema.name, schema.flow(identity, info))
        if not queues.join(turn):
            raise self._rejected(schema, QUEUE_FULL)
        level.waiting += 1
        self.waiting += 1
        return turn

    def leave(self, turn: Turn, now: float) -> Iterable[Turn]:
        """A seated request has ended; return those who are seated in its place."""
        self.seats.give_back(turn.level, turn.width)
        if turn.queue is not None:
            turn.queue.settle(turn, now - turn.started)
        return self._seat_waiting(now) if self.waiting else _NOBODY

    def abandon(self, turn: Turn) -> None:
        """A waiting request has waited for too long, or its client has gone."""
        self._queues[turn.level.name].abandon(turn)
        turn.level.waiting -= 1
        self.waiting -= 1
        self._rejected(turn.schema, TIME_OUT)

    def _compile(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Compile the schemas; those whose level is not there don't count."""
        known, self._schemas = self._schemas, {}
        for obj in objects:
            schema = self._schemas[obj["metadata"]["name"]] = Schema(obj)
            if schema.name in known:
                schema.dispatched, schema.rejected = known[schema.name].dispatched, known[schema.name].rejected
        usable = [schema for schema in self._schemas.values() if schema.level in self._queues]
        self.classifier = Classifier(usable, self._schemas[FALLBACK])

    def _seat_waiting(self, now: float) -> list[Turn]:
        seated: list[Turn] = []
        while self.waiting:
            turn = self._next()
            if turn is None:
                break
            self._queues[turn.level.name].serve(turn)
            turn.level.waiting -= 1
            self.waiting -= 1
            turn.started, turn.seated = now, True
            turn.schema.dispatched += 1
            seated.append(turn)
        return seated

    def _next(self) -> Turn | None:
        """Find, and give seats to, the next turn of the neediest level that may have them.

        While a level waits for seats of its own, nobody borrows: else a wide turn would never find enough at once.
        """
        levels = sorted((one for one in self.seats.levels.values() if one.waiting), key=lambda one: one.load)
        is_owed = False
        for level in levels:
            turn = self._queues[level.name].next()
            assert turn is not None, "who waits is in a queue"
            is_own = level.in_use + turn.width <= level.nominal
            if (is_own or not is_owed) and self.seats.take(level, turn.width):
                return turn
            is_owed = is_owed or is_own
        return None

    def _may_take(self, level: Level, width: int) -> bool:
        """May a level go past those who wait? Not with borrowed seats, where others wait for seats of their own."""
        if not self.waiting or level.is_exempt or level.in_use + width <= level.nominal:
            return True
        return not any(one.waiting and one.in_use < one.nominal for one in self.seats.levels.values())

    def _queued_again(self, turn: Turn) -> bool:
        """Queue a waiting turn by new rules; where these have no place for it, seat it: it has been let in already."""
        turn.level.waiting -= 1
        self.waiting -= 1
        turn.queue = None
        turn.level = self.seats.levels.get(turn.level.name) or self.seats.levels[FALLBACK]
        queues = self._queues.get(turn.level.name)
        if queues is not None and not queues.rejects and queues.join(turn):
            turn.level.waiting += 1
            self.waiting += 1
            return True
        self.seats.take_anyway(turn.level, turn.width)
        turn.seated = True
        return False

    def _rejected(self, schema: Schema, reason: str) -> Rejected:
        schema.rejected[reason] = schema.rejected.get(reason, 0) + 1
        return Rejected(reason)


def _queuing(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return ((spec.get("limited") or {}).get("limitResponse") or {}).get("queuing")
