"""A write under consideration: who wants to do what to which object. Every step of admission gets one.

Neighbours: `verbs` make them, `chain` hands them to the steps.
"""

from dataclasses import dataclass, field
from typing import Any

from actors.api import errors
from actors.apiserver.call import Identity
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.parts import Parts
from actors.apiserver.storage.entry import Entry

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass(slots=True)
class Admission:
    """`namespace` and `name` are the path's; steps add to `warnings` and `annotations` (of the audit)."""

    parts: Parts
    identity: Identity
    resource: Resource
    namespace: str
    name: str
    subresource: str = ""
    operation: str = CREATE
    dry_run: bool = False
    options: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)

    def forbidden(self, why: str) -> errors.ApiError:
        """Return the refusal of this write, in Kubernetes' form."""
        return errors.forbidden(self.resource.group_resource, self.name, why)

    def entry(self, prefix: bytes, name: str) -> Entry | None:
        """Return what the cache has of a cluster-scoped object, or with `namespace/name` of another."""
        key = prefix + name.encode()
        return self.parts.cache.at(prefix).entries.get(key)

    def namespace_labels(self) -> dict[str, str]:
        """Return the labels of the object's namespace; {} when the cache does not know it."""
        namespaces = self.parts.cache.at(NAMESPACES)
        entry = namespaces.entries.get(NAMESPACES + self.namespace.encode())
        return entry.traits(namespaces.fields)[0] if entry is not None else {}


NAMESPACES = b"/registry/namespaces/"
