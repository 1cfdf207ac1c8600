"""Which fields are left out of an object when they are empty: those that Go's types mark with `omitempty`.

A list, a map or a scalar that is not required is marked so, with the few exceptions that WRITTEN_ALWAYS names. What is
a pointer in Go is kept however empty: `optional: false`, `emptyDir: {}`. Schemas do not tell a scalar from a pointer to
one, the wire's messages do. A struct is never left out.

Source: the types of k8s.io/api, apimachinery, apiextensions-apiserver and kube-aggregator. Neighbours: `definitions`
puts it into the compact form; `shapes` leaves out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.apiserver.protobuf import catalog

_SCALARS = frozenset({"string", "bool", "int32", "int64", "double", "bytes"})

WRITTEN_ALWAYS: Mapping[str, frozenset[str]] = {
    name: frozenset(fields)
    for name, fields in {
        "io.k8s.api.apps.v1.StatefulSetOrdinals": ("start",),
        "io.k8s.api.apps.v1.StatefulSetStatus": ("availableReplicas",),
        "io.k8s.api.authentication.v1.TokenRequestSpec": ("audiences",),
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus": ("currentMetrics",),
        "io.k8s.api.core.v1.ContainerImage": ("names",),
        "io.k8s.api.core.v1.Event": ("reportingComponent", "reportingInstance"),
        "io.k8s.api.discovery.v1.EndpointSlice": ("endpoints", "ports"),
        "io.k8s.api.flowcontrol.v1.FlowSchemaSpec": ("matchingPrecedence",),
        "io.k8s.api.flowcontrol.v1.QueuingConfiguration": ("handSize", "queueLengthLimit", "queues"),
        "io.k8s.api.flowcontrol.v1.ResourcePolicyRule": ("namespaces",),
        "io.k8s.api.policy.v1.PodDisruptionBudgetStatus": (
            "currentHealthy",
            "desiredHealthy",
            "disruptionsAllowed",
            "expectedPods",
        ),
        "io.k8s.api.rbac.v1.ClusterRole": ("rules",),
        "io.k8s.api.rbac.v1.Role": ("rules",),
        "io.k8s.api.rbac.v1.RoleRef": ("apiGroup",),
        "io.k8s.api.scheduling.v1.PriorityClass": ("value",),
        "io.k8s.api.storage.v1.CSINodeDriver": ("topologyKeys",),
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus": (
            "conditions",
            "storedVersions",
        ),
    }.items()
}


def omitted_when_empty(definition: str, fields: Mapping[str, Any], required: Sequence[str]) -> list[str]:
    """Return the names of a definition's fields that are left out when empty. `fields` are compact types."""
    written = WRITTEN_ALWAYS.get(definition, frozenset()) | frozenset(required)
    plain = {field.name for field in _wire_fields(_message_of(definition)) if not field.is_pointer}
    return [
        name
        for name, kind in fields.items()
        if name not in written and (kind in _SCALARS and name in plain if isinstance(kind, str) else "ref" not in kind)
    ]


def _message_of(definition: str) -> str:
    """The message of a definition: `io.k8s.api.rbac.v1.Role` is `rbac_v1.Role`."""
    *_, group, version, name = definition.rsplit(".", 3)
    return f"{group}_{version}.{name}"


def _wire_fields(name: str) -> Iterator[catalog.Field]:
    """Yield the fields of a message, with those of messages whose fields belong to it."""
    message = catalog.find(name)
    for field in message.fields.values() if message is not None else ():
        if field.is_inline:
            yield from _wire_fields(field.kind)
        else:
            yield field
