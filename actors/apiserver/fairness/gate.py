"""The shell of priority and fairness: configuration out of the watch cache, waiting for a seat, 429, and figures.

A request enters before it is worked on and leaves after. Watches leave once they have begun; logs and other streams do
not come here at all. A change of a FlowSchema or a PriorityLevelConfiguration counts from the next request on.

Neighbours: `fairness` decides; `handler` calls; `upkeep` writes the objects' status.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.api import errors
from actors.apiserver.call import ApiCall
from actors.apiserver.fairness.fairness import Fairness, Rejected
from actors.apiserver.fairness.queues import Turn
from actors.apiserver.fairness.schemas import Schema
from actors.apiserver.integers import int64_of
from actors.apiserver.machinery.kinds.flow_control import GROUP
from actors.apiserver.machinery.resource import Registry
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.storage.watch_cache import WatchCache
from runtime.clock import Clock

MAX_WAIT_S = 15.0  # for a seat: a quarter of a request's time, as Kubernetes has it
RETRY_AFTER_S = 1
OBJECTS_A_SEAT = 25  # of a list: to go through so many costs about as much as a get, which takes one seat
MAX_SEATS = 100  # that a list takes, unless its level has fewer
LEVELS_PREFIX = f"/registry/{GROUP}/prioritylevelconfigurations/".encode()
SCHEMAS_PREFIX = f"/registry/{GROUP}/flowschemas/".encode()


class Gate:
    def __init__(self, cache: WatchCache, registry: Registry, clock: Clock, seats: int) -> None:
        self._cache = cache
        self._registry = registry
        self._clock = clock
        self._schemas, self._levels = cache.at(SCHEMAS_PREFIX), cache.at(LEVELS_PREFIX)
        self._configured = (-1, -1)
        self._heads: dict[str, bytes] = {}
        self._waiting: dict[Turn, asyncio.Future[None]] = {}
        self.fairness = Fairness(seats)
        self.waited_s: dict[str, float] = {}  # by level, of those who had to wait and got a seat

    def enter(self, call: ApiCall, info: RequestInfo) -> Turn:
        """Let a request in; wait for its turn unless it is seated. Raises ApiError TooManyRequests."""
        if (self._schemas.changed_revision, self._levels.changed_revision) != self._configured:
            self._configure()
        width = self._width(info) if info.verb == "list" else 1
        try:
            turn = self.fairness.enter(call.identity, info, width, self._clock.monotonic())
        except Rejected as rejected:
            raise _too_many(rejected.args[0]) from rejected
        call.answer_head += self._heads[turn.schema.name]
        return turn

    async def wait(self, turn: Turn) -> None:
        """Return once a turn is seated. Raises ApiError TooManyRequests when that takes too long."""
        seat = asyncio.get_running_loop().create_future()
        self._waiting[turn] = seat
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await seat
        except TimeoutError:
            if not turn.seated:
                self.fairness.abandon(turn)
                raise _too_many("time-out") from None
        except asyncio.CancelledError:
            if turn.seated:
                self.leave(turn)
            else:
                self.fairness.abandon(turn)
            raise
        finally:
            self._waiting.pop(turn, None)
        level = turn.level.name
        self.waited_s[level] = self.waited_s.get(level, 0.0) + turn.started - turn.arrived

    def leave(self, turn: Turn) -> None:
        """A seated request has ended; whoever gets its seat is woken."""
        if self.fairness.waiting or turn.queue is not None:
            self._wake(self.fairness.leave(turn, self._clock.monotonic()))
        else:
            self.fairness.leave(turn, turn.started)

    def _wake(self, seated: Any) -> None:
        for turn in seated:
            seat = self._waiting.get(turn)
            if seat is not None and not seat.done():
                seat.set_result(None)

    def _configure(self) -> None:
        self._configured = (self._schemas.changed_revision, self._levels.changed_revision)
        schemas = [entry.decode() for entry in self._schemas.entries.values()]
        self._wake(self.fairness.configure(schemas, [entry.decode() for entry in self._levels.entries.values()]))
        classifier = self.fairness.classifier
        self._heads = {schema.name: self._head(schema) for schema in (*classifier.schemas, classifier.fallback)}

    def _head(self, schema: Schema) -> bytes:
        """The headers that tell a client how its request was classified."""
        level = self.fairness.seats.levels[schema.level].uid
        if not schema.uid or not level:
            return b""  # one of the mandatory objects, which isn't there just now
        return (
            f"x-kubernetes-pf-flowschema-uid: {schema.uid}\r\nx-kubernetes-pf-prioritylevel-uid: {level}\r\n"
        ).encode("latin-1")

    def _width(self, info: RequestInfo) -> int:
        """How many seats a list takes: by how many objects it goes through, or may answer with."""
        resource = self._registry.lookup(info.group, info.version, info.resource)
        if resource is None or resource.is_virtual:
            return 1
        cache = self._cache.of(resource)
        if info.namespace and resource.namespaced:
            prefix = cache.prefix + f"{info.namespace}/".encode()
            count = cache.count(prefix, prefix)
        else:
            count = len(cache.entries)
        limit = int64_of(info.query.get("limit", "")) or 0
        if limit > 0:
            count = min(count, limit)
        return max(1, min(MAX_SEATS, -(-count // OBJECTS_A_SEAT)))

    def dump(self) -> list[dict[str, Any]]:
        """Levels and what they do now, for an administrator's eyes."""
        return [
            {
                "priorityLevel": level.name, "nominalSeats": level.nominal, "sureSeats": level.sure,
                "seatsInUse": level.in_use, "executing": level.executing, "waiting": level.waiting,
                "isExempt": level.is_exempt,
            }
            for level in self.fairness.seats.levels.values()
        ]  # fmt: skip


class FairnessCollector(Collector):
    """The figures of a gate under Kubernetes' names, read when they are asked for."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        fairness = self._gate.fairness
        labels = ["priority_level", "flow_schema"]
        dispatched = CounterMetricFamily(
            "apiserver_flowcontrol_dispatched_requests", "Requests that got a seat.", labels=labels
        )
        rejected = CounterMetricFamily(
            "apiserver_flowcontrol_rejected_requests", "Requests that were refused.", labels=[*labels, "reason"]
        )
        for schema in fairness.classifier.schemas:
            dispatched.add_metric([schema.level, schema.name], schema.dispatched)
            for reason, count in schema.rejected.items():
                rejected.add_metric([schema.level, schema.name, reason], count)
        yield dispatched
        yield rejected
        levels = fairness.seats.levels.values()
        for name, told, attribute in _LEVEL_GAUGES:
            gauge = GaugeMetricFamily(f"apiserver_flowcontrol_{name}", told, labels=["priority_level"])
            for level in levels:
                gauge.add_metric([level.name], getattr(level, attribute))
            yield gauge
        waited = CounterMetricFamily(
            "apiserver_flowcontrol_request_wait_seconds", "Time that seated requests had waited.", labels=labels[:1]
        )
        for level_name, seconds in self._gate.waited_s.items():
            waited.add_metric([level_name], seconds)
        yield waited


_LEVEL_GAUGES = (
    ("nominal_limit_seats", "Nominal seats of a level.", "nominal"),
    ("lower_limit_seats", "Seats that a level never lends.", "sure"),
    ("upper_limit_seats", "Seats of a level with all that it may borrow.", "ceiling"),
    ("current_executing_requests", "Requests that have seats.", "executing"),
    ("current_executing_seats", "Seats in use.", "in_use"),
    ("current_inqueue_requests", "Requests that wait for a seat.", "waiting"),
)


def _too_many(reason: str) -> errors.ApiError:
    message = f"too many requests, please try again later ({reason})"
    return errors.too_many_requests(message, RETRY_AFTER_S)
