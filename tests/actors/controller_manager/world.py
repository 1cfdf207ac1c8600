"""An API server in memory: enough of it for controllers to converge against, and every change kept for late watches.

It keeps resourceVersion, uid, generation, status subresources, merge patches, preconditions, graceful deletion of Pods,
finalizers and propagation as Kubernetes defines them. `Faults` decide, from a seed, which requests go wrong and how.
"""

import copy
import random
from dataclasses import dataclass, field
from typing import Any

from actors.api import errors
from actors.api.meta import key_of, rfc3339
from bus import DeadlineExceeded, Unavailable
from runtime.clock import ManualClock

Object = dict[str, Any]
Objects = list[Object]
Log = list[tuple[str, Object | None]]

KINDS = {
    "pods": ("v1", "Pod", True),
    "services": ("v1", "Service", True),
    "endpoints": ("v1", "Endpoints", True),
    "nodes": ("v1", "Node", False),
    "namespaces": ("v1", "Namespace", False),
    "configmaps": ("v1", "ConfigMap", True),
    "persistentvolumeclaims": ("v1", "PersistentVolumeClaim", True),
    "persistentvolumes": ("v1", "PersistentVolume", False),
    "storageclasses.storage.k8s.io": ("storage.k8s.io/v1", "StorageClass", False),
    "serviceaccounts": ("v1", "ServiceAccount", True),
    "replicationcontrollers": ("v1", "ReplicationController", True),
    "deployments.apps": ("apps/v1", "Deployment", True),
    "replicasets.apps": ("apps/v1", "ReplicaSet", True),
    "endpointslices.discovery.k8s.io": ("discovery.k8s.io/v1", "EndpointSlice", True),
    "leases.coordination.k8s.io": ("coordination.k8s.io/v1", "Lease", True),
    "clusterroles.rbac.authorization.k8s.io": ("rbac.authorization.k8s.io/v1", "ClusterRole", False),
}
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


class Crash(BaseException):
    """The controller manager's process dies here."""


@dataclass
class Faults:
    """Chances of each request to be refused as stale, not to arrive, to lose its answer, or to be the last."""

    rng: random.Random
    conflict: float = 0.0
    lost_request: float = 0.0
    lost_answer: float = 0.0
    crash: float = 0.0

    def before(self) -> None:
        chance = self.rng.random()
        if chance < self.conflict:
            raise errors.conflict("any", "any")
        if chance < self.conflict + self.lost_request:
            raise Unavailable("no API server")
        if chance < self.conflict + self.lost_request + self.crash:
            raise Crash

    def after(self) -> None:
        chance = self.rng.random()
        if chance < self.lost_answer:
            raise DeadlineExceeded("no answer")
        if chance < self.lost_answer + self.crash:
            raise Crash


@dataclass
class World:
    clock: ManualClock
    faults: Faults
    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: {resource: {} for resource in KINDS})
    log: dict[str, Log] = field(default_factory=lambda: {resource: [] for resource in KINDS})
    revision: int = 0
    writes: int = 0

    # What ApiClient offers.

    async def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        return copy.deepcopy(self._found(resource, namespace, name))

    async def list(self, resource: str, namespace: str | None = None, **selectors: Any) -> Object:
        found = [obj for obj in self.objects[resource].values() if obj["metadata"].get("namespace") == namespace]
        return {"items": copy.deepcopy(found), "metadata": {"resourceVersion": str(self.revision)}}

    async def call(self, verb: str, path: str, query: str = "") -> Any:
        """Discovery."""
        groups = sorted({version for version, _, _ in KINDS.values() if "/" in version})
        if path == "/api":
            return {"versions": ["v1"]}
        if path == "/apis":
            return {"groups": [{"name": g.split("/")[0], "preferredVersion": {"groupVersion": g}} for g in groups]}
        version = path.removeprefix("/apis/").removeprefix("/api/")
        return {
            "resources": [
                {"name": resource.partition(".")[0], "kind": kind, "namespaced": namespaced, "verbs": VERBS}
                for resource, (api_version, kind, namespaced) in KINDS.items()
                if api_version == version
            ]
        }

    async def create(self, resource: str, obj: Object, namespace: str | None = None) -> Object:
        self.faults.before()
        made = self.put(resource, obj)
        self.faults.after()
        return copy.deepcopy(made)

    async def update(self, resource: str, obj: Object, subresource: str | None = None) -> Object:
        self.faults.before()
        metadata = obj["metadata"]
        current = self._found(resource, metadata.get("namespace"), metadata["name"])
        self._check(resource, current, metadata)
        made = self._merge(resource, current, copy.deepcopy(obj), subresource)
        self.faults.after()
        return copy.deepcopy(made)

    async def patch(
        self, resource: str, name: str, patch: Any, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        self.faults.before()
        current = self._found(resource, namespace, name)
        self._check(resource, current, patch.get("metadata") or {})
        made = self._merge(resource, current, merged(current, patch), subresource)
        self.faults.after()
        return copy.deepcopy(made)

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_s: int | None = None,
        propagation: Any = None,
    ) -> Object:
        self.faults.before()
        current = self._found(resource, namespace, name)
        self._check(resource, current, {"uid": uid, "resourceVersion": resource_version})
        self.remove(resource, current, propagation=propagation, graceful=grace_period_s != 0)
        self.faults.after()
        return {"kind": "Status"}

    async def delete_collection(
        self, resource: str, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> Object:
        self.faults.before()
        for obj in (await self.list(resource, namespace))["items"]:
            self.remove(resource, obj)
        self.faults.after()
        return {"kind": "Status"}

    # What users, kubelets and the tests do: never goes wrong.

    def put(self, resource: str, obj: Object) -> Object:
        """Create an object."""
        obj = copy.deepcopy(obj)
        key = key_of(obj)
        if key in self.objects[resource]:
            raise errors.already_exists(resource, obj["metadata"]["name"])
        api_version, kind, _ = KINDS[resource]
        self.revision += 1
        obj |= {"apiVersion": api_version, "kind": kind}
        obj["metadata"] |= {
            "uid": f"{kind}-{self.revision}",
            "generation": 1,
            "creationTimestamp": rfc3339(self.clock.wall()),
        }
        return self._store(resource, obj)

    def edit(self, resource: str, key: str, patch: Object, subresource: str | None = None) -> Object:
        """Merge-patch whatever is there now."""
        current = self.objects[resource][key]
        return self._merge(resource, current, merged(current, patch), subresource)

    def remove(self, resource: str, obj: Object, *, propagation: str | None = None, graceful: bool = True) -> None:
        """Delete an object, or begin to."""
        current = copy.deepcopy(self.objects[resource][key_of(obj)])
        metadata = current["metadata"]
        finalizers = set(metadata.get("finalizers") or ())
        finalizers |= {"foregroundDeletion"} if propagation == "Foreground" else set()
        finalizers |= {"orphan"} if propagation == "Orphan" else set()
        waits = resource == "pods" and graceful and current["spec"].get("nodeName")
        if not finalizers and (not waits or "deletionTimestamp" in metadata and not graceful):
            self._drop(resource, current)
            return
        if metadata.get("deletionTimestamp") and finalizers == set(metadata.get("finalizers") or ()):
            return
        metadata.setdefault("deletionTimestamp", rfc3339(self.clock.wall()))
        if finalizers:
            metadata["finalizers"] = sorted(finalizers)
        self.revision += 1
        self._store(resource, current)

    def all(self, resource: str) -> Objects:
        return [*self.objects[resource].values()]

    def _found(self, resource: str, namespace: str | None, name: str) -> Object:
        found = self.objects[resource].get(f"{namespace}/{name}" if namespace else name)
        if found is None:
            raise errors.not_found(resource, name)
        return found

    def _check(self, resource: str, current: Object, precondition: Object) -> None:
        for name in ("uid", "resourceVersion"):
            if precondition.get(name) and precondition[name] != current["metadata"][name]:
                raise errors.conflict(resource, current["metadata"]["name"])

    def _merge(self, resource: str, current: Object, wanted: Object, subresource: str | None) -> Object:
        """Store what an update may change: the status, or all but the status."""
        new = copy.deepcopy(wanted)
        if subresource == "status":
            annotations = new["metadata"].get("annotations")
            new = copy.deepcopy(current) | {"status": new.get("status") or {}}
            if annotations:
                new["metadata"]["annotations"] = annotations
        elif "status" in current:
            new["status"] = copy.deepcopy(current["status"])
        for name in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion"):
            new["metadata"].pop(name, None)
            if name in current["metadata"]:
                new["metadata"][name] = current["metadata"][name]
        if new == current:
            return current
        if new.get("spec") != current.get("spec"):
            new["metadata"]["generation"] += 1
        was_held = bool(current["metadata"].get("finalizers"))
        if "deletionTimestamp" in new["metadata"] and was_held and not new["metadata"].get("finalizers"):
            self._drop(resource, current)
            return new
        self.revision += 1
        return self._store(resource, new)

    def _store(self, resource: str, obj: Object) -> Object:
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self.objects[resource][key_of(obj)] = obj
        self.log[resource].append((key_of(obj), obj))
        self.writes += 1
        return obj

    def _drop(self, resource: str, obj: Object) -> None:
        self.revision += 1
        del self.objects[resource][key_of(obj)]
        self.log[resource].append((key_of(obj), None))
        self.writes += 1


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
