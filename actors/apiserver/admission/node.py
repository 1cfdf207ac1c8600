"""What a kubelet may write: its own Node, Leases and Pods, even where the authorizer cannot see the name.

The authorizer decides on paths; the name of an object being created is in its body. Source: Kubernetes' NodeRestriction
plugin. Neighbours: `chain`, `auth.node_authorizer`.
"""

from typing import TYPE_CHECKING, Any

from actors.api import errors

if TYPE_CHECKING:
    from actors.apiserver.admission.chain import Admission

_OWN = frozenset({"nodes", "leases.coordination.k8s.io"})
_RESTRICTED_LABEL_PREFIX = "node-restriction.kubernetes.io/"
MIRROR = "kubernetes.io/config.mirror"


def admit_create(asked: "Admission", obj: dict[str, Any]) -> None:
    group_resource = asked.resource.group_resource
    if group_resource in _OWN and obj["metadata"].get("name") not in asked.identity.nodes:
        raise _refused(asked, f"a kubelet may only create its own {asked.resource.kind}")
    if group_resource == "pods":
        if MIRROR not in (obj["metadata"].get("annotations") or {}):
            raise _refused(asked, "a kubelet may only create mirror pods")
        if obj["spec"].get("nodeName") not in asked.identity.nodes:
            raise _refused(asked, "a kubelet may only create pods bound to its own node")
    if group_resource == "nodes":
        _check_labels(asked, obj, {})


def admit_update(asked: "Admission", obj: dict[str, Any], old: dict[str, Any]) -> None:
    group_resource = asked.resource.group_resource
    if group_resource == "nodes":
        _check_labels(asked, obj, old["metadata"].get("labels") or {})
        if not asked.subresource and (obj.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
            raise _refused(asked, "a kubelet may not change the taints of its Node")
    if group_resource == "pods" and (old.get("spec") or {}).get("nodeName") not in asked.identity.nodes:
        raise _refused(asked, "the pod is not bound to a node of this kubelet")


def _check_labels(asked: "Admission", obj: dict[str, Any], before: dict[str, str]) -> None:
    labels = obj["metadata"].get("labels") or {}
    for key in labels.keys() | before.keys():
        if key.startswith(_RESTRICTED_LABEL_PREFIX) and labels.get(key) != before.get(key):
            raise _refused(asked, f"a kubelet may not set the label {key}")


def _refused(asked: "Admission", why: str) -> errors.ApiError:
    return errors.forbidden(asked.resource.group_resource, asked.name, f"{why} ({asked.identity.user})")
