"""The scheduler without I/O: takes what the watches say, gives decisions.

`node_changed` and `pod_changed` keep cache and queue true; `schedule` pops pods and decides, charging each placed pod
at once, so that the next decision sees it. What becomes of a decision comes back through `binding_acknowledged` and
`binding_failed`. Nothing here waits, reads a clock or writes; the seed makes choices among equals repeatable.

Neighbours: `actor` feeds it and acts on decisions; `plan` decides, `queue` orders, `cache` remembers.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from weakref import WeakValueDictionary

from actors.scheduler import cluster_events, volume_restrictions, volumes
from actors.scheduler.arrays import NodeArrays
from actors.scheduler.cache import Cache, placed_pod
from actors.scheduler.diagnosis import Diagnosis, diagnose
from actors.scheduler.filters import ALL_FILTERS
from actors.scheduler.node_info import node_info, same_for_scheduling
from actors.scheduler.plan import NOWHERE, Plan, fits_row
from actors.scheduler.queue import SchedulingQueue
from actors.scheduler.requirements import Requirements, compile_requirements, signature
from actors.scheduler.volume_restrictions import ClaimUsers
from actors.scheduler.volumes import VolumeView

SCHEDULER_NAME = "default-scheduler"
MAX_PLANS = 128  # kinds of pods whose plan is kept; the one longest unused is made anew when it comes up again
UNSCHEDULABLE = "Unschedulable"
SCHEDULING_GATED = "SchedulingGated"
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bind:
    """The pod goes to the node; it is charged there already."""

    key: str
    pod: Object
    node: str


@dataclass(frozen=True, slots=True)
class NotScheduled:
    """The pod goes nowhere for now; `reason` is that of its PodScheduled condition."""

    key: str
    pod: Object
    reason: str
    message: str


Decision = Bind | NotScheduled


class SchedulerCore:
    def __init__(self, seed: int) -> None:
        self.arrays = NodeArrays()
        self.cache = Cache(self.arrays)
        self.volumes = VolumeView()
        self._claim_users = ClaimUsers()
        about_volumes = {module.NAME: module.EVENTS for module in (volumes, volume_restrictions)}
        self.queue = SchedulingQueue({f.NAME: f.EVENTS for f in ALL_FILTERS} | about_volumes)
        self._random = Random(seed)
        self._pending: dict[str, Object] = {}
        self._gated: dict[str, Object] = {}  # newly gated, to be reported
        self._compiled: WeakValueDictionary[bytes, Requirements] = WeakValueDictionary()
        self._plans: OrderedDict[Requirements, Plan] = OrderedDict()
        self._diagnoses: dict[Requirements, tuple[tuple[int, int], Diagnosis]] = {}

    def node_changed(self, old: Object | None, new: Object | None, now_s: float) -> None:
        """Take in a Node that was added, changed or (new is None) deleted."""
        if new is None:
            if old is not None:
                self.cache.remove_node(old["metadata"]["name"])
            return
        if old is not None and same_for_scheduling(old, new):
            return
        self.cache.put_node(node_info(new))
        for event in _node_events(old, new):
            self.queue.move(event, now_s)

    def namespace_changed(self, name: str, labels: Mapping[str, str] | None, now_s: float) -> None:
        self.arrays.pods.set_namespace(name, labels)
        self.queue.move(cluster_events.NAMESPACE_CHANGED, now_s)

    def volumes_changed(self, now_s: float) -> None:
        """`self.volumes` was told of a change."""
        self.queue.move(cluster_events.VOLUMES_CHANGED, now_s)

    def pod_changed(self, key: str, old: Object | None, new: Object | None, now_s: float) -> None:
        """Take in a Pod that was added, changed or (new is None) deleted."""
        if new is not None and old is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
            self._pod_gone(key, now_s)
            old = None
        if new is None or _is_terminal(new):
            self._pod_gone(key, now_s)
        elif new["spec"].get("nodeName"):
            self._pod_assigned(key, new, now_s)
        else:
            self._pod_pending(key, old, new, now_s)

    def schedule(self, now_s: float, limit: int) -> list[Decision]:
        """Decide about up to `limit` pods that are ready."""
        decisions: list[Decision] = [
            NotScheduled(key, pod, SCHEDULING_GATED, GATED_MESSAGE) for key, pod in self._gated.items()
        ]
        self._gated.clear()
        while len(decisions) < limit:
            key = self.queue.pop(now_s)
            if key is None:
                break
            decisions.append(self._decide(key, self._pending[key], now_s))
        return decisions

    def binding_acknowledged(self, key: str, now_s: float) -> None:
        """The API server has bound the pod: the watch will say so too."""
        self.cache.binding_acknowledged(key, now_s)

    def binding_failed(self, key: str, now_s: float) -> None:
        """The pod is not bound: free what it was charged for, try again after its backoff."""
        if self.cache.forget(key):
            self._claim_users.gone(key)
            self.queue.move(cluster_events.POD_DELETED, now_s)
        if key in self._pending:
            self.queue.retry(key, now_s)

    def expire(self, now_s: float) -> list[str]:
        """Forget assumed pods that the watch never confirmed; return their keys."""
        expired = self.cache.expired(now_s)
        for key in expired:
            self.binding_failed(key, now_s)
        return expired

    def next_wake_s(self) -> float | None:
        """Return when `schedule` or `expire` will next have something to do by time alone; None: never."""
        return min((at_s for at_s in (self.queue.next_wake_s(), self.cache.next_expiry_s()) if at_s), default=None)

    def _decide(self, key: str, pod: Object, now_s: float) -> Decision:
        placement = self.volumes.place(pod)
        if placement.why:
            self.queue.unschedulable(key, frozenset({volumes.NAME}), now_s)
            message = f"0/{len(self.arrays)} nodes are available: {placement.why}."
            return NotScheduled(key, pod, UNSCHEDULABLE, message)
        if any(self._claim_users.is_used(claim) for claim in self.volumes.for_one_pod(pod)):
            self.queue.unschedulable(key, frozenset({volume_restrictions.NAME}), now_s)
            count = len(self.arrays)
            message = f"0/{count} nodes are available: {count} {volume_restrictions.CONFLICT}."
            return NotScheduled(key, pod, UNSCHEDULABLE, message)
        requirements = self._requirements_of(placement.pod)
        row = self._choose(requirements)
        if row == NOWHERE:
            diagnosis = self._diagnosis(requirements)
            plugins = diagnosis.plugins if placement.pod is pod else diagnosis.plugins | {volumes.NAME}
            self.queue.unschedulable(key, plugins, now_s)
            return NotScheduled(key, pod, UNSCHEDULABLE, diagnosis.message)
        node = self.arrays.names[row]
        self.cache.assume(key, placed_pod(pod, node, requirements))
        self._claim_users.placed(key, pod)
        return Bind(key, pod, node)

    def _choose(self, requirements: Requirements) -> int:
        pinned = requirements.pinned_nodes
        if pinned is not None and len(pinned) <= 1:
            rows = [self.arrays.rows[name] for name in pinned if name in self.arrays.rows]
            return rows[0] if rows and fits_row(self.arrays, requirements, rows[0]) else NOWHERE
        return self._plan(requirements).choose(self._random)

    def _plan(self, requirements: Requirements) -> Plan:
        plan = self._plans.get(requirements)
        if plan is None:
            plan = self._plans[requirements] = Plan(self.arrays, requirements)
            if len(self._plans) > MAX_PLANS:
                dropped, _ = self._plans.popitem(last=False)
                self._diagnoses.pop(dropped, None)
        else:
            self._plans.move_to_end(requirements)
        return plan

    def _diagnosis(self, requirements: Requirements) -> Diagnosis:
        """Explain why nothing fits; said once for all pods alike while nothing changes."""
        position = (self.arrays.node_changes.position, self.arrays.usage_changes.position)
        known = self._diagnoses.get(requirements)
        if known is not None and known[0] == position:
            return known[1]
        diagnosis = diagnose(self.arrays, requirements)
        if requirements in self._plans:
            self._diagnoses[requirements] = position, diagnosis
        return diagnosis

    def _requirements_of(self, pod: Object) -> Requirements:
        pods = self.arrays.pods
        digest = signature(pod, with_labels=bool(pods.anti_owners or pods.weight_owners))
        requirements = self._compiled.get(digest)
        if requirements is None:
            requirements = self._compiled[digest] = compile_requirements(pod)
        return requirements

    def _pod_gone(self, key: str, now_s: float) -> None:
        self._drop_pending(key)
        self._claim_users.gone(key)
        if self.cache.remove(key) is not None:
            self.queue.move(cluster_events.POD_DELETED, now_s)

    def _pod_assigned(self, key: str, pod: Object, now_s: float) -> None:
        self._drop_pending(key)
        is_new = self.cache.get(key) is None or self.cache.is_assumed(key)
        placed = placed_pod(pod, pod["spec"]["nodeName"], self._requirements_of(pod))
        changed = self.cache.confirm(key, placed)
        self._claim_users.placed(key, pod)
        if is_new:
            self.queue.move(cluster_events.POD_ADDED, now_s)
        elif changed:
            self.queue.move(cluster_events.POD_UPDATED, now_s)

    def _pod_pending(self, key: str, old: Object | None, new: Object, now_s: float) -> None:
        spec = new["spec"]
        if spec.get("schedulerName", SCHEDULER_NAME) != SCHEDULER_NAME or "deletionTimestamp" in new["metadata"]:
            self._pod_gone(key, now_s)
            return
        known = key in self._pending
        self._pending[key] = new
        if known and old is not None and not _worth_another_try(old, new):
            return
        gated = bool(spec.get("schedulingGates"))
        if gated:
            self._gated[key] = new
        else:
            self._gated.pop(key, None)
        self.queue.add(key, spec.get("priority") or 0, now_s, gated)

    def _drop_pending(self, key: str) -> None:
        self._pending.pop(key, None)
        self._gated.pop(key, None)
        self.queue.remove(key)


def _node_events(old: Object | None, new: Object) -> list[str]:
    if old is None:
        return [cluster_events.NODE_ADDED]
    old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
    events = []
    if (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get("allocatable"):
        events.append(cluster_events.NODE_ALLOCATABLE)
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        events.append(cluster_events.NODE_LABEL)
    if any(old_spec.get(field) != new_spec.get(field) for field in ("taints", "unschedulable")):
        events.append(cluster_events.NODE_TAINT)
    return events


def _is_terminal(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _worth_another_try(old: Object, new: Object) -> bool:
    return old["spec"] != new["spec"] or old["metadata"].get("labels") != new["metadata"].get("labels")
