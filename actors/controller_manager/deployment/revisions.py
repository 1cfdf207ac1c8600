"""The ReplicaSets of a Deployment: which is the new one, what it is called, which revision it has.

A ReplicaSet belongs to a pod template. Its name ends with a hash of that template, so that a creation that was repeated
after a crash hits the same name. Should two templates of one Deployment have the same hash, `status.collisionCount`
goes into the hash too. Revisions count upwards; rolling back gives an old ReplicaSet the next number, and its earlier
ones stay in an annotation. `kubectl rollout history` and `undo` read these.
"""

import copy
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from actors.api.meta import owner_reference
from actors.controller_manager.deployment.strategy import max_surge, replicas_of
from actors.controller_manager.timestamps import seconds_of

Object = dict[str, Any]

DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"

_NUMBER = re.compile(r"[0-9]{1,18}")  # anybody may write annotations: other digits, or too many, are no number

# Kubernetes keeps 2,000 characters of earlier revisions of one ReplicaSet; the oldest are forgotten.
REVISION_HISTORY_LIMIT_CHARS = 2000

_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.daemonset.template.generation",
        "deprecated.deployment.rollback.to",
    }
)

# No vowels, and nothing that looks like another letter: a hash never spells a word.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


def template_hash(template: Object, collision_count: int) -> str:
    """Return the pod-template-hash: FNV-1a (32 bits) of the template as canonical JSON, in a safe alphabet."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if collision_count:
        text += f"#{collision_count}"
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(value))


def same_template(left: Object, right: Object) -> bool:
    """Are these the same pod template, apart from the hash label?"""
    return left.get("spec") == right.get("spec") and _metadata(left) == _metadata(right)


def _metadata(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    kept = {name: value for name, value in metadata.items() if value and name not in ("labels", "creationTimestamp")}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    return {**kept, "labels": labels} if labels else kept


def find_new(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """Return the ReplicaSet of the Deployment's template: the oldest, should several have it."""
    template = deployment["spec"]["template"]
    for replica_set in oldest_first(replica_sets):
        if same_template(replica_set["spec"]["template"], template):
            return replica_set
    return None


def oldest_first(replica_sets: Iterable[Object]) -> list[Object]:
    return sorted(
        replica_sets,
        key=lambda found: (seconds_of(found["metadata"].get("creationTimestamp")), found["metadata"]["name"]),
    )


def annotations_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def revision_of(replica_set: Object) -> int:
    """Return a ReplicaSet's revision, 0 where it has none or it is no number."""
    return number_annotation(replica_set, REVISION) or 0


def next_revision(old: Iterable[Object]) -> int:
    """Return the revision of the new ReplicaSet: one more than any of the old ones."""
    return max((revision_of(replica_set) for replica_set in old), default=0) + 1


def number_annotation(obj: Object, name: str) -> int | None:
    """Return an annotation that holds a number of Pods, None where it is missing or is no number."""
    text = annotations_of(obj).get(name, "")
    return int(text) if _NUMBER.fullmatch(text) else None


def size_annotations(deployment: Object) -> dict[str, str]:
    """Return the annotations that tell a ReplicaSet for which size of the Deployment it was last sized."""
    wanted = replicas_of(deployment)
    return {DESIRED_REPLICAS: str(wanted), MAX_REPLICAS: str(wanted + max_surge(deployment))}


def synced_annotations(deployment: Object, replica_set: Object, revision: int) -> dict[str, str]:
    """Return the annotations of the new ReplicaSet that have to change: the Deployment's own, and the revision."""
    current = annotations_of(replica_set)
    wanted = {name: value for name, value in annotations_of(deployment).items() if name not in _NOT_COPIED}
    known = revision_of(replica_set)
    if known < revision:
        wanted[REVISION] = str(revision)
        if known:
            wanted[REVISION_HISTORY] = _longer_history(current.get(REVISION_HISTORY, ""), known)
    return {name: value for name, value in wanted.items() if current.get(name) != value}


def _longer_history(history: str, revision: int) -> str:
    entries = [*(entry for entry in history.split(",") if entry), str(revision)]
    while len(entries) > 1 and len(",".join(entries)) > REVISION_HISTORY_LIMIT_CHARS:
        entries.pop(0)
    return ",".join(entries)


def new_name(deployment: Object) -> str:
    """Return the name of the ReplicaSet of the Deployment's template."""
    return f"{deployment['metadata']['name']}-{_hash_of(deployment)}"


def _hash_of(deployment: Object) -> str:
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    return template_hash(deployment["spec"]["template"], collisions)


def new_replica_set(deployment: Object, revision: int, replicas: int) -> Object:
    """Return the ReplicaSet to create for the Deployment's template."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    hash_ = _hash_of(deployment)
    template = copy.deepcopy(spec["template"])
    template_metadata = template.setdefault("metadata", {})
    template_metadata["labels"] = {**(template_metadata.get("labels") or {}), HASH_LABEL: hash_}
    selector = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hash_}
    annotations = {name: value for name, value in annotations_of(deployment).items() if name not in _NOT_COPIED}
    replica_set_spec: Object = {"replicas": replicas, "selector": selector, "template": template}
    if spec.get("minReadySeconds"):
        replica_set_spec["minReadySeconds"] = spec["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": new_name(deployment),
            "namespace": metadata["namespace"],
            "labels": dict(template_metadata["labels"]),
            "annotations": {**annotations, **size_annotations(deployment), REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": replica_set_spec,
    }


def surplus_history(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Return the old ReplicaSets beyond spec.revisionHistoryLimit that hold no Pods any more, lowest revision first."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == 2**31 - 1:
        return []
    alive = [replica_set for replica_set in old if "deletionTimestamp" not in replica_set["metadata"]]
    by_revision = sorted(alive, key=lambda found: (revision_of(found), found["metadata"]["name"]))
    return [found for found in by_revision[: max(len(alive) - limit, 0)] if _is_empty(found)]


def _is_empty(replica_set: Object) -> bool:
    status = replica_set.get("status") or {}
    observed = status.get("observedGeneration", 0) >= replica_set["metadata"].get("generation", 0)
    return observed and replicas_of(replica_set) == 0 and not status.get("replicas")
