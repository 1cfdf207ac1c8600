"""What every write passes between defaults and validation, by kind.

A step gets the object as it will be stored, and may fill it in or refuse it. Steps read the watch cache; only the
namespace and service account steps wait for it.

Neighbours: `verbs.create` and `verbs.update` run it; each step has a module of its own.
"""

from dataclasses import dataclass
from typing import Any

from actors.apiserver.admission import certificates, namespace, node, pod, rbac, service_account
from actors.apiserver.call import Identity
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.server import Server


@dataclass(frozen=True, slots=True)
class Admission:
    """A write under consideration. `old` is None for a creation."""

    server: Server
    identity: Identity
    resource: Resource
    namespace: str
    name: str
    subresource: str = ""


async def admit_create(asked: Admission, obj: dict[str, Any]) -> None:
    """Fill in or refuse a new object. The namespace has been checked before. Raises ApiError."""
    group_resource = asked.resource.group_resource
    if group_resource == "pods":
        await service_account.admit(asked, obj)
        pod.admit(asked, obj)
    if asked.resource.group == rbac.GROUP:
        rbac.admit(asked, obj, None)
    if group_resource == certificates.RESOURCE:
        certificates.admit_create(asked, obj)
    if asked.identity.nodes:
        node.admit_create(asked, obj)


async def admit_update(asked: Admission, obj: dict[str, Any], old: dict[str, Any]) -> None:
    """Fill in or refuse a changed object. Raises ApiError."""
    if asked.resource.group == rbac.GROUP:
        rbac.admit(asked, obj, old)
    if asked.resource.group_resource == certificates.RESOURCE:
        certificates.admit_update(asked, obj, old)
    if asked.identity.nodes:
        node.admit_update(asked, obj, old)


def admit_delete(asked: Admission) -> None:
    """Refuse a deletion. Raises ApiError."""
    if asked.resource.group_resource == "namespaces":
        namespace.admit_delete(asked)


async def admit_namespace(server: Server, resource: Resource, where: str, name: str) -> None:
    """Refuse a creation in a namespace that is not there or on its way out. Raises ApiError."""
    if resource.namespaced:
        await namespace.admit_create(server, resource, where, name)
