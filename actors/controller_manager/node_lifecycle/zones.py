"""How fast Nodes may be told to evict their Pods: slowly, more slowly in a large outage, not at all in a total one.

When most of a zone goes silent at once, its network is a likelier cause than its Nodes, and moving all its Pods
elsewhere would do more harm. When all zones do, it is us who are cut off. The numbers are Kubernetes' defaults. Pure.
"""

import enum
from dataclasses import dataclass

EVICTIONS_PER_S = 0.1  # Nodes a second, in a zone that is well, or wholly lost beside others that are well
LARGE_ZONE_NODES = 50  # a zone with more Nodes goes on slowly in a partial outage, a smaller one stops
EVICTIONS_PER_S_IN_OUTAGE = 0.01
UNHEALTHY_FRACTION = 0.55  # from here on an outage counts as partial,
UNHEALTHY_NODES = 2  # if more than these are not ready


class ZoneState(enum.Enum):
    NORMAL = "normal"
    PARTIAL = "partial"
    FULL = "full"


@dataclass(slots=True)
class _Zone:
    ready: int = 0
    not_ready: int = 0
    next_eviction: float = 0.0

    @property
    def state(self) -> ZoneState:
        total = self.ready + self.not_ready
        if self.not_ready and not self.ready:
            return ZoneState.FULL
        if self.not_ready > UNHEALTHY_NODES and self.not_ready >= UNHEALTHY_FRACTION * total:
            return ZoneState.PARTIAL
        return ZoneState.NORMAL

    @property
    def evictions_per_s(self) -> float:
        if self.state is not ZoneState.PARTIAL:
            return EVICTIONS_PER_S
        large = self.ready + self.not_ready > LARGE_ZONE_NODES
        return EVICTIONS_PER_S_IN_OUTAGE if large else 0.0


class Zones:
    """All Nodes by zone, counted as they change."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, bool]] = {}
        self._zones: dict[str, _Zone] = {}

    def put(self, node: str, zone: str, ready: bool) -> None:
        self.remove(node)
        self._nodes[node] = (zone, ready)
        counted = self._zones.setdefault(zone, _Zone())
        counted.ready += ready
        counted.not_ready += not ready

    def remove(self, node: str) -> None:
        before = self._nodes.pop(node, None)
        if before is None:
            return
        zone, ready = before
        counted = self._zones[zone]
        counted.ready -= ready
        counted.not_ready -= not ready

    def states(self) -> dict[str, ZoneState]:
        return {name: zone.state for name, zone in self._zones.items() if zone.ready + zone.not_ready}

    @property
    def all_lost(self) -> bool:
        """Is no Node ready in any zone?"""
        states = self.states()
        return bool(states) and all(state is ZoneState.FULL for state in states.values())

    def take_turn(self, node: str, now: float) -> float | None:
        """Return 0 when it is this Node's turn to evict (and count it), the seconds to wait, or None for no turn."""
        if node not in self._nodes:
            return None
        zone = self._zones[self._nodes[node][0]]
        rate = zone.evictions_per_s
        if rate == 0.0 or self.all_lost:
            return None
        if now < zone.next_eviction:
            return zone.next_eviction - now
        zone.next_eviction = now + 1.0 / rate
        return 0.0
