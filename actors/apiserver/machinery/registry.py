"""The table of built-in resources. A resource of Kubernetes that is missing here is one more row.

Order within a group is the order of discovery; groups appear in the order that kubectl resolves short names by.
"""

from actors.apiserver.machinery.resource import CREATE_ONLY, READ_AND_WRITE, Registry, Resource, Subresource
from actors.apiserver.machinery.rows import ALL, SCALE, review, row
from actors.apiserver.machinery.selectable import (
    EVENT_FIELDS,
    NAMESPACE_FIELDS,
    NEW_EVENT_FIELDS,
    NODE_FIELDS,
    POD_FIELDS,
    REPLICAS_FIELDS,
    SECRET_FIELDS,
    SERVICE_FIELDS,
)

_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")

_POD_SUBRESOURCES = (
    Subresource("attach", "PodAttachOptions", "v1", _STREAM),
    Subresource("binding", "Binding", "v1", CREATE_ONLY),
    Subresource("ephemeralcontainers", "Pod", "v1", READ_AND_WRITE),
    Subresource("eviction", "Eviction", "policy/v1", CREATE_ONLY),
    Subresource("exec", "PodExecOptions", "v1", _STREAM),
    Subresource("log", "Pod", "v1", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", "v1", _STREAM),
    Subresource("proxy", "PodProxyOptions", "v1", _PROXY),
    Subresource("resize", "Pod", "v1", READ_AND_WRITE),
)
_NAMESPACE_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")

CORE: tuple[Resource, ...] = (
    row("v1", "Binding", "bindings", verbs=CREATE_ONLY),
    row("v1", "ConfigMap", "configmaps", short_names=("cm",)),
    row("v1", "Endpoints", "endpoints", short_names=("ep",)),
    row("v1", "Event", "events", short_names=("ev",), selectable=EVENT_FIELDS),
    row(
        "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",), verbs=_NAMESPACE_VERBS, status=True,
        subresources=(Subresource("finalize", "Namespace", "v1", ("update",)),), selectable=NAMESPACE_FIELDS,
    ),
    row("v1", "Node", "nodes", namespaced=False, short_names=("no",), status=True, selectable=NODE_FIELDS,
        subresources=(Subresource("proxy", "NodeProxyOptions", "v1", _PROXY),)),
    row("v1", "Pod", "pods", short_names=("po",), categories=ALL, status=True, subresources=_POD_SUBRESOURCES,
        selectable=POD_FIELDS),
    row("v1", "ReplicationController", "replicationcontrollers", short_names=("rc",), categories=ALL, status=True,
        subresources=(SCALE,), selectable=REPLICAS_FIELDS),
    row("v1", "Secret", "secrets", selectable=SECRET_FIELDS),
    row("v1", "Service", "services", short_names=("svc",), categories=ALL, status=True, selectable=SERVICE_FIELDS,
        subresources=(Subresource("proxy", "ServiceProxyOptions", "v1", _PROXY),)),
    row("v1", "ServiceAccount", "serviceaccounts", short_names=("sa",),
        subresources=(Subresource("token", "TokenRequest", "authentication.k8s.io/v1", CREATE_ONLY),)),
)  # fmt: skip

APPS: tuple[Resource, ...] = (
    row("apps/v1", "Deployment", "deployments", short_names=("deploy",), categories=ALL, status=True,
        subresources=(SCALE,)),
    row("apps/v1", "ReplicaSet", "replicasets", short_names=("rs",), categories=ALL, status=True,
        subresources=(SCALE,), selectable=REPLICAS_FIELDS),
)  # fmt: skip

EVENTS = (row("events.k8s.io/v1", "Event", "events", short_names=("ev",), selectable=NEW_EVENT_FIELDS),)

REVIEWS: tuple[Resource, ...] = (
    review("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews"),
    review("authentication.k8s.io/v1", "TokenReview", "tokenreviews"),
    review("authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", namespaced=True),
    review("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    review("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    review("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews"),
)

RBAC: tuple[Resource, ...] = (
    row("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    row("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False),
    row("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    row("rbac.authorization.k8s.io/v1", "Role", "roles"),
)

COORDINATION = (row("coordination.k8s.io/v1", "Lease", "leases"),)
DISCOVERY = (row("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),)

REGISTRY = Registry((*CORE, *APPS, *EVENTS, *REVIEWS, *RBAC, *COORDINATION, *DISCOVERY))
