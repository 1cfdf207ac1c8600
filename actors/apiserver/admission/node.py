"""NodeRestriction: what a kubelet may write, even where the authorizer cannot see the name.

The authorizer decides on paths; the name of an object being created is in its body, and so is what a Pod refers to.
Source: Kubernetes' NodeRestriction plugin. Neighbours: `chain`, `auth.node_authorizer`.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.admission.attributes import Admission

MIRROR = "kubernetes.io/config.mirror"
PODS = b"/registry/pods/"
_OWN = frozenset({"nodes", "leases.coordination.k8s.io"})
_RESTRICTED_LABEL_PREFIX = "node-restriction.kubernetes.io/"
# Labels under Kubernetes' own domains that a kubelet may give its Node.
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "kubernetes.io/instance-type",
        "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone", "failure-domain.kubernetes.io/region",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
    }
)  # fmt: skip
_KUBELET_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")

Object = dict[str, Any]


def admit_create(asked: Admission, obj: Object) -> None:
    group_resource = asked.resource.group_resource
    if group_resource in _OWN and obj["metadata"].get("name") not in asked.identity.nodes:
        raise _refused(asked, f"a kubelet may only create its own {asked.resource.kind}")
    if group_resource == "pods":
        _check_new_pod(asked, obj)
    if group_resource == "nodes":
        _check_labels(asked, obj, {})


def admit_update(asked: Admission, obj: Object, old: Object) -> None:
    group_resource = asked.resource.group_resource
    if group_resource == "nodes":
        _check_labels(asked, obj, old["metadata"].get("labels") or {})
        if not asked.subresource and (obj.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
            raise _refused(asked, "a kubelet may not change the taints of its Node")
    if group_resource == "pods":
        _check_own_pod(asked, old)
        if (obj["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
            raise _refused(asked, "a kubelet may not change the labels of a pod")


def admit_delete(asked: Admission, old: Object) -> None:
    if asked.resource.group_resource == "pods":
        _check_own_pod(asked, old)


def admit_token(asked: Admission, request: Object) -> None:
    """A kubelet asks for tokens of its pods only, and each is bound to one of them."""
    bound = (request.get("spec") or {}).get("boundObjectRef") or {}
    if bound.get("kind") != "Pod" or not bound.get("name"):
        raise _refused(asked, "node requested token not bound to a pod")
    if not bound.get("uid"):
        raise _refused(asked, "node requested token with a pod binding without a uid")
    entry = asked.entry(PODS, f"{asked.namespace}/{bound['name']}")
    if entry is None:
        raise errors.not_found("pods", bound["name"])
    pod = entry.decode()
    if pod["metadata"]["uid"] != bound["uid"]:
        raise errors.conflict("pods", bound["name"], "the UID in the bound object reference does not match")
    _check_own_pod(asked, pod)


def _check_new_pod(asked: Admission, pod: Object) -> None:
    spec = pod["spec"]
    if MIRROR not in (pod["metadata"].get("annotations") or {}):
        raise _refused(asked, "a kubelet may only create mirror pods")
    if spec.get("nodeName") not in asked.identity.nodes:
        raise _refused(asked, "a kubelet may only create pods bound to its own node")
    if spec.get("serviceAccountName") not in (None, ""):
        raise _refused(asked, "a mirror pod may not reference a service account")
    for volume in spec.get("volumes") or ():
        for kind, what in (("secret", "secrets"), ("configMap", "configmaps"), ("projected", "projected volumes"),
                           ("persistentVolumeClaim", "persistentvolumeclaims")):  # fmt: skip
            if kind in volume:
                raise _refused(asked, f"a mirror pod may not reference {what}")


def _check_own_pod(asked: Admission, pod: Object) -> None:
    if (pod.get("spec") or {}).get("nodeName") not in asked.identity.nodes:
        raise _refused(asked, "the pod is not bound to a node of this kubelet")


def _check_labels(asked: Admission, obj: Object, before: dict[str, str]) -> None:
    labels = obj["metadata"].get("labels") or {}
    for key in labels.keys() | before.keys():
        if labels.get(key) != before.get(key) and not _is_allowed_label(key):
            raise _refused(asked, f"a kubelet may not set the label {key}")


def _is_allowed_label(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if not (_within(domain, "kubernetes.io") or _within(domain, "k8s.io")):
        return True
    if key.startswith(_RESTRICTED_LABEL_PREFIX):
        return False
    return key in _KUBELET_LABELS or any(_within(domain, allowed) for allowed in _KUBELET_LABEL_DOMAINS)


def _within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)


def _refused(asked: Admission, why: str) -> errors.ApiError:
    return asked.forbidden(f"{why} ({asked.identity.user})")
