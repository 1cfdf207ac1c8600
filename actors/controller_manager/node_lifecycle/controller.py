"""The node lifecycle control loop. The package's docstring tells the story from the beginning.

A Node costs nothing while it is well: its heartbeats are noted in passing, and one timer a Node fires when the grace
period since the last sign that was known then would be over.
"""

from collections.abc import Iterable
from typing import Any

from actors.controller_manager.actions import Action, Failure, RequeueAfter
from actors.controller_manager.controller import Controller
from actors.controller_manager.endpoints.addresses import ZONE_LABEL
from actors.controller_manager.node_lifecycle import health, taints
from actors.controller_manager.node_lifecycle.heartbeats import Heartbeats
from actors.controller_manager.node_lifecycle.taints import Eviction
from actors.controller_manager.node_lifecycle.zones import Zones, ZoneState
from actors.controller_manager.pods import condition
from actors.controller_manager.relations import BY_NODE, index_by_node, namespace_of

Object = dict[str, Any]

LEASES = "leases.coordination.k8s.io"
NODE_LEASE_NAMESPACE = "kube-node-lease"
REGION_LABEL = "topology.kubernetes.io/region"

# After Pods were marked, look once more: some writes may have met a newer Pod.
MARK_AGAIN_S = 1.0


class NodeLifecycleController(Controller):
    name = "node-lifecycle"

    def set_up(self) -> None:
        self._heartbeats = Heartbeats()
        self._zones = Zones()
        self._zone_states: dict[str, ZoneState] = {}
        self._all_lost = False
        self._marked: dict[str, str] = {}  # Node -> the transition to not ready that its Pods were marked for
        self.nodes = self.watch(health.NODES, self._on_node)
        self.cache(LEASES).on_change(self._on_lease)
        self.pods = self.cache("pods")
        index_by_node(self.caches, self.pods)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        node = self.nodes.get(key)
        if node is None:
            return []
        monotonic, now = self.clock.monotonic(), self.clock.wall()
        grace_s = health.grace_period_s(node, self.around.config.controllers.node_monitor_grace_period_s)
        actions = health.check(node, self._heartbeats.silence_s(key, monotonic), grace_s, now)
        if any(not isinstance(action, RequeueAfter) for action in actions):
            return actions  # the new conditions come back with the Node's change; all else follows from them
        eviction, wait_s = self._eviction(node, monotonic)
        tainting = taints.reconcile(node, eviction, now)
        waits = [action.delay_s for action in actions if isinstance(action, RequeueAfter)]
        waits += [wait_s] if wait_s is not None else []
        marking = self._mark_pods(key, node, now)
        waits += [MARK_AGAIN_S] if marking else []
        return [*marking, *tainting, *([RequeueAfter(min(waits))] if waits else [])]

    def _eviction(self, node: Object, monotonic: float) -> tuple[Eviction, float | None]:
        if self._zones.all_lost:
            return Eviction.SUSPENDED, None
        if not taints.wants_eviction(node):
            return Eviction.NOT_YET, None
        wait_s = self._zones.take_turn(node["metadata"]["name"], monotonic)
        return (Eviction.NOW, None) if wait_s == 0.0 else (Eviction.NOT_YET, wait_s)

    def _mark_pods(self, key: str, node: Object, now: float) -> list[Action]:
        """Mark the Pods of a Node not ready, once for each time that it became so."""
        if health.ready_status(node) in (None, "True"):
            self._marked.pop(key, None)
            return []
        transition = str((condition(node, "Ready") or {}).get("lastTransitionTime"))
        if self._marked.get(key) == transition:
            return []
        marks = health.mark_pods(self.pods.by_index(BY_NODE, key), now)
        if not marks:
            self._marked[key] = transition
            return [health.not_ready_event(node)]
        return marks

    def _on_lease(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is not None and namespace_of(new) == NODE_LEASE_NAMESPACE:
            self._heartbeats.note_lease(new["metadata"]["name"], new, self.clock.monotonic())

    def _on_node(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        if new is None:
            self._heartbeats.forget(key)
            self._zones.remove(key)
            self._marked.pop(key, None)
            if old is not None:
                self._announce(old, "RemovingNode", f"Removing Node {key} from Controller")
        else:
            self._heartbeats.note_node(key, new, self.clock.monotonic())
            self._zones.put(key, _zone_of(new), health.ready_status(new) == "True")
            if old is None and self.nodes.has_synced:
                self._announce(new, "RegisteredNode", f"Registered Node {key} in Controller")
        return {key} | self._nodes_of_changed_zones()

    def _announce(self, node: Object, reason: str, what: str) -> None:
        self.recorder.event(node, "Normal", reason, f"Node {node['metadata']['name']} event: {what}")

    def _nodes_of_changed_zones(self) -> set[str]:
        """Return the Nodes whose eviction is allowed or forbidden by what just changed elsewhere."""
        states, all_lost = self._zones.states(), self._zones.all_lost
        if states == self._zone_states and all_lost == self._all_lost:
            return set()
        if self._all_lost and not all_lost:
            self._heartbeats.forgive(self.clock.monotonic())  # nobody could be heard; now somebody is
        self._zone_states, self._all_lost = states, all_lost
        return set(self.nodes.keys())


def _zone_of(node: Object) -> str:
    labels = node["metadata"].get("labels") or {}
    return f"{labels.get(REGION_LABEL, '')}:{labels.get(ZONE_LABEL, '')}"
