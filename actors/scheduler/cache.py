"""Which pod is on which node: confirmed by the watch, or assumed because a binding is under way.

A placed pod is charged to its node's row at once (assumed), so that the next decision sees it before the API server has
answered. The watch confirms it. A failed binding forgets it. An assumed pod whose binding was acknowledged but that the
watch never shows expires, so that a lost event cannot hold capacity for ever. Pods of a node that is not known (not
yet, or no longer) wait until it is.

Neighbours: writes `arrays`; `core` is the only caller.
"""

from dataclasses import dataclass
from typing import Any

from actors.scheduler.arrays import NodeArrays
from actors.scheduler.node_info import NodeInfo
from actors.scheduler.requirements import Requirements

ASSUMED_EXPIRY_S = 30.0  # after its binding was acknowledged; the watch is normally milliseconds behind


@dataclass(slots=True)
class PlacedPod:
    uid: str
    node: str
    namespace: str
    labels: dict[str, str]
    terminating: bool
    requirements: Requirements


def placed_pod(pod: dict[str, Any], node: str, requirements: Requirements) -> PlacedPod:
    metadata = pod["metadata"]
    return PlacedPod(
        uid=metadata.get("uid") or "",
        node=node,
        namespace=metadata.get("namespace") or "",
        labels=metadata.get("labels") or {},
        terminating="deletionTimestamp" in metadata,
        requirements=requirements,
    )


class Cache:
    def __init__(self, arrays: NodeArrays) -> None:
        self.arrays = arrays
        self._pods: dict[str, PlacedPod] = {}
        self._by_node: dict[str, dict[str, PlacedPod]] = {}
        self._assumed: set[str] = set()
        self._expiring: dict[str, float] = {}  # assumed with an acknowledged binding: when to give up, oldest first

    def get(self, key: str) -> PlacedPod | None:
        return self._pods.get(key)

    def is_assumed(self, key: str) -> bool:
        return key in self._assumed

    @property
    def assumed_count(self) -> int:
        return len(self._assumed)

    def put_node(self, info: NodeInfo) -> None:
        new = info.name not in self.arrays.rows
        row = self.arrays.put_node(info)
        if new:
            for pod in self._by_node.get(info.name, {}).values():
                self._charge(row, pod)

    def remove_node(self, name: str) -> None:
        row = self.arrays.rows.get(name)
        if row is None:
            return
        for pod in self._by_node.get(name, {}).values():
            self._discharge(row, pod)
        self.arrays.remove_node(name)

    def assume(self, key: str, pod: PlacedPod) -> None:
        """Charge a pod to the node that was chosen for it."""
        assert key not in self._pods, f"pod {key} is placed already"
        self._assumed.add(key)
        self._add(key, pod)

    def binding_acknowledged(self, key: str, now_s: float) -> None:
        if key in self._assumed:
            self._expiring[key] = now_s + ASSUMED_EXPIRY_S

    def forget(self, key: str) -> bool:
        """Take an assumed pod off its node again; say whether it was there."""
        if key not in self._assumed:
            return False
        self.remove(key)
        return True

    def confirm(self, key: str, pod: PlacedPod) -> bool:
        """Take the watch's word for where a pod is and what it asks for; say whether that is new."""
        old = self._pods.get(key)
        if old is not None and old.node == pod.node and old.uid == pod.uid and _same_charge(old, pod):
            self._settle(key)
            return False
        if old is not None:
            self.remove(key)
        self._add(key, pod)
        return True

    def remove(self, key: str) -> PlacedPod | None:
        pod = self._pods.pop(key, None)
        if pod is None:
            return None
        self._settle(key)
        siblings = self._by_node[pod.node]
        del siblings[key]
        if not siblings:
            del self._by_node[pod.node]
        row = self.arrays.rows.get(pod.node)
        if row is not None:
            self._discharge(row, pod)
        return pod

    def expired(self, now_s: float) -> list[str]:
        """Return the assumed pods whose acknowledged binding never showed up."""
        expired = []
        for key, deadline_s in self._expiring.items():
            if deadline_s > now_s:
                break
            expired.append(key)
        return expired

    def next_expiry_s(self) -> float | None:
        return next(iter(self._expiring.values()), None)

    def _settle(self, key: str) -> None:
        self._assumed.discard(key)
        self._expiring.pop(key, None)

    def _add(self, key: str, pod: PlacedPod) -> None:
        self._pods[key] = pod
        self._by_node.setdefault(pod.node, {})[key] = pod
        row = self.arrays.rows.get(pod.node)
        if row is not None:
            self._charge(row, pod)

    def _charge(self, row: int, pod: PlacedPod) -> None:
        self.arrays.add_pod(row, pod.requirements)
        self.arrays.pods.add(row, pod.namespace, pod.labels, pod.requirements.affinity, pod.terminating)

    def _discharge(self, row: int, pod: PlacedPod) -> None:
        self.arrays.remove_pod(row, pod.requirements)
        self.arrays.pods.remove(row, pod.namespace, pod.labels, pod.requirements.affinity, pod.terminating)


def _same_charge(old: PlacedPod, new: PlacedPod) -> bool:
    return old.requirements is new.requirements and old.labels == new.labels and old.terminating == new.terminating
