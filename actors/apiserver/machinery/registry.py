"""The table of built-in resources. A resource of Kubernetes that is missing here is one more row.

Order within a group is the order of discovery; groups appear in the order that kubectl resolves short names by.
"""

from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.columns import network, workloads
from actors.apiserver.machinery.columns.pods import POD
from actors.apiserver.machinery.kinds import cluster, configuration, endpoints, event, rbac, reviews, service
from actors.apiserver.machinery.kinds.pod import PodStrategy
from actors.apiserver.machinery.kinds.workloads import (
    DeploymentStrategy,
    ReplicaSetStrategy,
    ReplicationControllerStrategy,
)
from actors.apiserver.machinery.resource import CREATE_ONLY, Registry, Resource, Subresource
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

_POD_SUBRESOURCES = (
    Subresource("binding", "Binding", "v1", CREATE_ONLY),
    Subresource("eviction", "Eviction", "policy/v1", CREATE_ONLY),
    Subresource("log", "Pod", "v1", ("get",)),
)
_NAMESPACE_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")

CORE: tuple[Resource, ...] = (
    row("v1", "Binding", "bindings", verbs=CREATE_ONLY),
    row("v1", "ConfigMap", "configmaps", short_names=("cm",), strategy=configuration.ConfigMapStrategy(),
        columns=cluster_columns.CONFIG_MAP),
    row("v1", "Endpoints", "endpoints", short_names=("ep",), strategy=endpoints.EndpointsStrategy(),
        columns=network.ENDPOINTS),
    row("v1", "Event", "events", short_names=("ev",), strategy=event.EventStrategy(),
        columns=cluster_columns.EVENT, selectable=EVENT_FIELDS),
    row(
        "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",), verbs=_NAMESPACE_VERBS, status=True,
        subresources=(Subresource("finalize", "Namespace", "v1", ("update",)),), selectable=NAMESPACE_FIELDS,
        strategy=cluster.NamespaceStrategy(), columns=cluster_columns.NAMESPACE,
    ),
    row("v1", "Node", "nodes", namespaced=False, short_names=("no",), status=True, selectable=NODE_FIELDS,
        strategy=cluster.NodeStrategy(), columns=cluster_columns.NODE),
    row("v1", "Pod", "pods", short_names=("po",), categories=ALL, status=True, subresources=_POD_SUBRESOURCES,
        selectable=POD_FIELDS, strategy=PodStrategy(), columns=POD),
    row("v1", "ReplicationController", "replicationcontrollers", short_names=("rc",), categories=ALL, status=True,
        subresources=(SCALE,), selectable=REPLICAS_FIELDS, strategy=ReplicationControllerStrategy(),
        columns=workloads.REPLICA_SET),
    row("v1", "Secret", "secrets", selectable=SECRET_FIELDS, strategy=configuration.SecretStrategy(),
        columns=cluster_columns.SECRET),
    row("v1", "Service", "services", short_names=("svc",), categories=ALL, status=True, selectable=SERVICE_FIELDS,
        strategy=service.ServiceStrategy(), columns=network.SERVICE),
    row("v1", "ServiceAccount", "serviceaccounts", short_names=("sa",),
        strategy=configuration.ServiceAccountStrategy(), columns=cluster_columns.SERVICE_ACCOUNT,
        subresources=(Subresource("token", "TokenRequest", "authentication.k8s.io/v1", CREATE_ONLY),)),
)  # fmt: skip

APPS: tuple[Resource, ...] = (
    row("apps/v1", "Deployment", "deployments", short_names=("deploy",), categories=ALL, status=True,
        subresources=(SCALE,), strategy=DeploymentStrategy(), columns=workloads.DEPLOYMENT),
    row("apps/v1", "ReplicaSet", "replicasets", short_names=("rs",), categories=ALL, status=True,
        subresources=(SCALE,), selectable=REPLICAS_FIELDS, strategy=ReplicaSetStrategy(),
        columns=workloads.REPLICA_SET),
)  # fmt: skip

EVENTS = (
    row("events.k8s.io/v1", "Event", "events", short_names=("ev",), strategy=event.NewEventStrategy(),
        columns=cluster_columns.EVENT, selectable=NEW_EVENT_FIELDS, conversion=event.AS_CORE),
)  # fmt: skip

REVIEWS: tuple[Resource, ...] = (
    review("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews"),
    review("authentication.k8s.io/v1", "TokenReview", "tokenreviews", strategy=reviews.TokenReviewStrategy()),
    review("authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", namespaced=True,
           strategy=reviews.AccessReviewStrategy()),
    review("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews",
           strategy=reviews.AccessReviewStrategy(of_self=True)),
    review("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    review("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews",
           strategy=reviews.AccessReviewStrategy()),
)  # fmt: skip

_RBAC = "rbac.authorization.k8s.io/v1"
RBAC: tuple[Resource, ...] = (
    row(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False,
        strategy=rbac.ClusterRoleBindingStrategy(), columns=cluster_columns.BINDING),
    row(_RBAC, "ClusterRole", "clusterroles", namespaced=False, strategy=rbac.ClusterRoleStrategy(),
        columns=cluster_columns.ROLE),
    row(_RBAC, "RoleBinding", "rolebindings", strategy=rbac.RoleBindingStrategy(),
        columns=cluster_columns.BINDING),
    row(_RBAC, "Role", "roles", strategy=rbac.RoleStrategy(),
        columns=cluster_columns.ROLE),
)  # fmt: skip

COORDINATION = (
    row("coordination.k8s.io/v1", "Lease", "leases", strategy=cluster.LeaseStrategy(), columns=cluster_columns.LEASE),
)  # fmt: skip
DISCOVERY = (
    row("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", strategy=endpoints.EndpointSliceStrategy(),
        columns=network.ENDPOINT_SLICE),
)  # fmt: skip

REGISTRY = Registry((*CORE, *APPS, *EVENTS, *REVIEWS, *RBAC, *COORDINATION, *DISCOVERY))
