"""A Deployment with its ReplicaSets, and the sizes that this reconcile gives them.

The sizes collect here so that each ReplicaSet gets one patch, whatever the reasons for it. What a ReplicaSet's spec and
its status say may differ while its controller works: `most` and `least_available` take the careful side, so that a
rollout keeps its bounds although it reads counts that are a moment old.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from actors.controller_manager.actions import Action, Emit, Patch
from actors.controller_manager.deployment.revisions import REPLICA_SETS, annotations_of, size_annotations
from actors.controller_manager.deployment.strategy import replicas_of

Object = dict[str, Any]


def status_count(replica_set: Object, name: str) -> int:
    return (replica_set.get("status") or {}).get(name) or 0


@dataclass(slots=True)
class Rollout:
    """`new` is None until there is a ReplicaSet of the Deployment's template; `old` are all others, oldest first."""

    deployment: Object
    new: Object | None
    old: list[Object]
    _sizes: dict[str, int] = field(default_factory=dict)
    _annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    _min_ready_s: dict[str, int] = field(default_factory=dict)

    @property
    def all(self) -> list[Object]:
        return [*self.old, self.new] if self.new is not None else list(self.old)

    @property
    def active_old(self) -> list[Object]:
        return [replica_set for replica_set in self.old if self.size(replica_set) > 0]

    def size(self, replica_set: Object) -> int:
        """Return the size that a ReplicaSet has, or gets from this reconcile."""
        return self._sizes.get(replica_set["metadata"]["uid"], replicas_of(replica_set))

    def resize(self, replica_set: Object, size: int) -> bool:
        """Give a ReplicaSet a size; return whether that is another one."""
        if self.size(replica_set) == size:
            return False
        self._sizes[replica_set["metadata"]["uid"]] = size
        self.annotate(replica_set, size_annotations(self.deployment))
        return True

    def annotate(self, replica_set: Object, annotations: dict[str, str]) -> None:
        current = annotations_of(replica_set)
        changed = {name: value for name, value in annotations.items() if current.get(name) != value}
        if changed:
            self._annotations.setdefault(replica_set["metadata"]["uid"], {}).update(changed)

    def set_min_ready_s(self, replica_set: Object, seconds: int) -> None:
        if (replica_set["spec"].get("minReadySeconds") or 0) != seconds:
            self._min_ready_s[replica_set["metadata"]["uid"]] = seconds

    def most(self, replica_sets: Iterable[Object]) -> int:
        """Return how many Pods these may have now at most: told to have, or not yet gone."""
        return sum(max(self.size(found), status_count(found, "replicas")) for found in replica_sets)

    def total(self, replica_sets: Iterable[Object]) -> int:
        return sum(self.size(found) for found in replica_sets)

    def least_available(self, replica_set: Object) -> int:
        """Return how many available Pods a ReplicaSet keeps for sure: never more than it was told to have."""
        return min(self.size(replica_set), status_count(replica_set, "availableReplicas"))

    @property
    def changed(self) -> bool:
        return bool(self._sizes)

    def patches(self) -> list[Action]:
        """Return one patch for each ReplicaSet that changes."""
        return [patch for found in self.all if (patch := self._patch(found)) is not None]

    def _patch(self, replica_set: Object) -> Patch | None:
        metadata = replica_set["metadata"]
        uid = metadata["uid"]
        spec: Object = {}
        done = None
        old_size = replicas_of(replica_set)
        if self._sizes.get(uid, old_size) != old_size:
            spec["replicas"] = self._sizes[uid]
            done = self.scaled_event(metadata["name"], old_size, self._sizes[uid])
        if uid in self._min_ready_s:
            spec["minReadySeconds"] = self._min_ready_s[uid]
        annotations = self._annotations.get(uid)
        if not spec and not annotations:
            return None
        patch: Object = {"metadata": {"uid": uid, "resourceVersion": metadata["resourceVersion"]}}
        if annotations:
            patch["metadata"]["annotations"] = annotations
        if spec:
            patch["spec"] = spec
        return Patch(REPLICA_SETS, metadata["namespace"], metadata["name"], patch, done=done)

    def scaled_event(self, name: str, before: int, after: int) -> Emit:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        return Emit(self.deployment, "Normal", "ScalingReplicaSet", message)
