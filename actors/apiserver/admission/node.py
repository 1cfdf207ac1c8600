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
        name, own = obj["metadata"].get("name", ""), node_of(asked)
        if group_resource == "nodes":
            raise _refused(asked, f'node "{own}" is not allowed to modify node "{name}"')
        raise _refused(asked, "can only access node lease with the same name as the requesting node")
    if group_resource == "pods":
        _check_new_pod(asked, obj)
    if group_resource == "nodes":
        _check_labels(asked, obj, {}, "set the following labels")


def admit_update(asked: Admission, obj: Object, old: Object) -> None:
    group_resource = asked.resource.group_resource
    if group_resource == "nodes":
        _check_labels(asked, obj, old["metadata"].get("labels") or {}, "modify labels")
        if not asked.subresource and (obj.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
            raise _refused(asked, f'node "{node_of(asked)}" is not allowed to modify taints')
    if group_resource == "pods":
        _check_own_pod(asked, old, "update pod status for pods")
        if (obj["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
            raise _refused(asked, f'node "{node_of(asked)}" cannot update labels through pod status')


def admit_delete(asked: Admission, old: Object) -> None:
    if asked.resource.group_resource == "pods":
        _check_own_pod(asked, old, "delete pods")


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
    if (pod.get("spec") or {}).get("nodeName") not in asked.identity.nodes:
        raise _refused(asked, "node requested token bound to a pod scheduled on a different node")


def _check_new_pod(asked: Admission, pod: Object) -> None:
    spec, node = pod["spec"], node_of(asked)
    if MIRROR not in (pod["metadata"].get("annotations") or {}):
        why = f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
        raise _refused(asked, why)
    if spec.get("nodeName") not in asked.identity.nodes:
        raise _refused(asked, f'node "{node}" can only create pods with spec.nodeName set to itself')
    if spec.get("serviceAccountName") not in (None, ""):
        raise _refused(asked, f'node "{node}" can not create pods that reference a service account')
    for volume in spec.get("volumes") or ():
        for kind, what in (("secret", "secrets"), ("configMap", "configmaps"), ("projected", "projected volumes"),
                           ("persistentVolumeClaim", "persistentvolumeclaims")):  # fmt: skip
            if kind in volume:
                raise _refused(asked, f'node "{node}" can not create pods that reference {what}')


def _check_own_pod(asked: Admission, pod: Object, what: str) -> None:
    if (pod.get("spec") or {}).get("nodeName") not in asked.identity.nodes:
        raise _refused(asked, f'node "{node_of(asked)}" can only {what} with spec.nodeName set to itself')


def _check_labels(asked: Admission, obj: Object, before: dict[str, str], what: str) -> None:
    labels = obj["metadata"].get("labels") or {}
    changed = (key for key in labels.keys() | before.keys() if labels.get(key) != before.get(key))
    refused = sorted(key for key in changed if not _is_allowed_label(key))
    if refused:
        raise _refused(asked, f"is not allowed to {what}: {', '.join(refused)}")


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
    return asked.forbidden(why)


def node_of(asked: Admission) -> str:
    """The node that a kubelet speaks for."""
    return next(iter(sorted(asked.identity.nodes)), "")
