"""What every write passes, by kind: what fills in and changes; then the object is validated; then what only checks.

Order is Kubernetes' own. The steps that are built in read the watch cache; only a namespace or an account that is not
there yet is waited for. Policies and webhooks come after them in each half; where there are none, that costs a
comparison of revisions. What a webhook changed is shown to the built-in steps once more.

Neighbours: `verbs` run it; each step has a module of its own; `dynamic` knows the policies and webhooks; `quota`
charges, within the transaction that writes.
"""

from typing import Any

from actors.apiserver.admission import (
    certificates,
    claim_resize,
    ingress_class,
    limit_ranger,
    namespace,
    node,
    priority,
    rbac,
    runtime_class,
    service_account,
    storage_class,
    storage_protection,
    taint_nodes,
    tolerations,
    topology_labels,
)
from actors.apiserver.admission.attributes import CREATE, DELETE, UPDATE, Admission
from actors.apiserver.admission.dynamic import Hooks
from actors.apiserver.admission.pod_security import plugin as pod_security

__all__ = ["Admission", "admit_create", "admit_delete", "admit_update", "check", "has_no_step"]

_LIMITED = frozenset({"pods", "persistentvolumeclaims"})
_PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"
_WITH_STEPS = frozenset(
    {
        "namespaces",
        "nodes",
        certificates.RESOURCE,
        ingress_class.RESOURCE,
        *storage_protection.FINALIZERS,
        _PRIORITY_CLASSES,
        *_LIMITED,
        *pod_security.CONTROLLERS,
    }
)

Object = dict[str, Any]


def has_no_step(hooks: Hooks, asked: Admission) -> bool:
    """Is there nothing to do for a creation between its defaults and its validation, nor after that? So it is with most
    kinds, where nobody has made policies or webhooks."""
    resource = asked.resource
    return (
        not asked.identity.nodes
        and resource.group != rbac.GROUP
        and resource.group_resource not in _WITH_STEPS
        and not hooks.concern(asked)
    )


async def admit_create(hooks: Hooks, asked: Admission, obj: Object) -> None:
    """Fill in or refuse a new object. The namespace has been checked before. Raises ApiError."""
    asked.operation = CREATE
    await _fill_in(asked, obj)
    if asked.resource.group == rbac.GROUP:
        rbac.admit(asked, obj, None)
    elif asked.resource.group_resource == certificates.RESOURCE:
        certificates.admit_create(asked, obj)
    if hooks.mutates(asked):
        await hooks.mutate(asked, obj, None, _fill_in)
    if asked.identity.nodes:
        node.admit_create(asked, obj)


async def admit_update(hooks: Hooks, asked: Admission, obj: Object, old: Object) -> None:
    """Fill in or refuse a changed object. Raises ApiError."""
    asked.operation = UPDATE
    if asked.resource.group == rbac.GROUP:
        rbac.admit(asked, obj, old)
    elif asked.resource.group_resource == certificates.RESOURCE:
        certificates.admit_update(asked, obj, old)
    if hooks.mutates(asked):
        await hooks.mutate(asked, obj, old, None)
    if asked.identity.nodes:
        node.admit_update(asked, obj, old)


async def check(hooks: Hooks, asked: Admission, obj: Object, old: Object | None) -> None:
    """Refuse an object that is complete and valid. Raises ApiError."""
    group_resource = asked.resource.group_resource
    if group_resource in _LIMITED and not asked.subresource:
        limit_ranger.check(asked, obj)
        if old is not None and group_resource == "persistentvolumeclaims":
            claim_resize.check(asked, obj, old)
    if group_resource == "pods":
        pod_security.check_pod(asked, obj, old)
    elif group_resource in pod_security.CONTROLLERS:
        pod_security.check_controller(asked, obj)
    elif group_resource == "namespaces":
        pod_security.check_namespace(asked, obj, old)
    elif group_resource == _PRIORITY_CLASSES:
        priority.check_default(asked, obj, old)
    if hooks.validates(asked):
        await hooks.validate(asked, obj, old)


async def admit_delete(hooks: Hooks, asked: Admission, old: Object) -> None:
    """Refuse a deletion. Raises ApiError."""
    asked.operation = DELETE
    if asked.resource.group_resource == "namespaces":
        namespace.admit_delete(asked)
    if asked.identity.nodes:
        node.admit_delete(asked, old)
    if hooks.mutates(asked):
        await hooks.mutate(asked, None, old, None)
    if hooks.validates(asked):
        await hooks.validate(asked, None, old)


async def admit_body(hooks: Hooks, asked: Admission, body: Object) -> None:
    """Refuse or change what is sent to a subresource and is not the object: a Binding, exec's options. Raises ApiError.

    `asked.operation` is CREATE or CONNECT; only policies and webhooks look at it.
    """
    if hooks.mutates(asked):
        await hooks.mutate(asked, body, None, None)
    if hooks.validates(asked):
        await hooks.validate(asked, body, None)


async def _fill_in(asked: Admission, obj: Object) -> None:
    """The built-in steps that change a new object; each may run twice."""
    group_resource = asked.resource.group_resource
    if group_resource == "pods":
        limit_ranger.default(asked, obj)
        await service_account.admit(asked, obj)
        priority.admit(asked, obj)
        tolerations.admit(obj["spec"], asked.parts.config.controllers.pod_eviction_toleration_s)
        runtime_class.admit(asked, obj)
        topology_labels.admit(asked, obj, obj["spec"].get("nodeName", ""))
    elif group_resource == "nodes":
        taint_nodes.admit(obj)
    elif group_resource == "persistentvolumeclaims":
        storage_class.admit(asked, obj)
        storage_protection.admit(group_resource, obj)
    elif group_resource == "persistentvolumes":
        storage_protection.admit(group_resource, obj)
    elif group_resource == ingress_class.RESOURCE:
        ingress_class.admit(asked, obj)
