"""The core group, v1, and the newer form of its Events."""

from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.columns import network, platform, workloads
from actors.apiserver.machinery.columns.pods import POD
from actors.apiserver.machinery.kinds import cluster, configuration, endpoints, event, policy, service, storage
from actors.apiserver.machinery.kinds.pod import PodStrategy
from actors.apiserver.machinery.kinds.workloads import PodTemplateStrategy, ReplicationControllerStrategy
from actors.apiserver.machinery.resource import COMPUTED, CREATE_ONLY, Resource, Subresource
from actors.apiserver.machinery.rows import ALL, SCALE, row
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

CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")
PART = ("get", "patch", "update")
_POD_SUBRESOURCES = (
    Subresource("binding", "Binding", "v1", CREATE_ONLY),
    Subresource("eviction", "Eviction", "policy/v1", CREATE_ONLY),
    Subresource("log", "Pod", "v1", ("get",)),
    Subresource("attach", "PodAttachOptions", "v1", CONNECT),
    Subresource("exec", "PodExecOptions", "v1", CONNECT),
    Subresource("portforward", "PodPortForwardOptions", "v1", CONNECT),
    Subresource("proxy", "PodProxyOptions", "v1", PROXY),
    Subresource("ephemeralcontainers", "Pod", "v1", PART),
    Subresource("resize", "Pod", "v1", PART),
)
_NAMESPACE_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")

CORE: tuple[Resource, ...] = (
    row("v1", "Binding", "bindings", verbs=CREATE_ONLY),
    row("v1", "ComponentStatus", "componentstatuses", namespaced=False, short_names=("cs",), verbs=COMPUTED,
        columns=cluster_columns.COMPONENT_STATUS, warning="v1 ComponentStatus is deprecated in v1.19+"),
    row("v1", "ConfigMap", "configmaps", short_names=("cm",), strategy=configuration.ConfigMapStrategy(),
        columns=cluster_columns.CONFIG_MAP),
    row("v1", "Endpoints", "endpoints", short_names=("ep",), strategy=endpoints.EndpointsStrategy(),
        columns=network.ENDPOINTS,
        warning="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    row("v1", "Event", "events", short_names=("ev",), strategy=event.EventStrategy(),
        columns=cluster_columns.EVENT, selectable=EVENT_FIELDS),
    row(
        "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",), verbs=_NAMESPACE_VERBS, status=True,
        subresources=(Subresource("finalize", "Namespace", "v1", ("update",)),), selectable=NAMESPACE_FIELDS,
        strategy=cluster.NamespaceStrategy(), columns=cluster_columns.NAMESPACE,
    ),
    row("v1", "Node", "nodes", namespaced=False, short_names=("no",), status=True, selectable=NODE_FIELDS,
        subresources=(Subresource("proxy", "NodeProxyOptions", "v1", PROXY),), strategy=cluster.NodeStrategy(),
        columns=cluster_columns.NODE),
    row("v1", "LimitRange", "limitranges", short_names=("limits",), strategy=policy.LimitRangeStrategy(),
        columns=platform.LIMIT_RANGE),
    row("v1", "PersistentVolumeClaim", "persistentvolumeclaims", short_names=("pvc",), status=True,
        strategy=storage.PersistentVolumeClaimStrategy(), columns=platform.PERSISTENT_VOLUME_CLAIM),
    row("v1", "PersistentVolume", "persistentvolumes", namespaced=False, short_names=("pv",), status=True,
        strategy=storage.PersistentVolumeStrategy(), columns=platform.PERSISTENT_VOLUME),
    row("v1", "PodTemplate", "podtemplates", strategy=PodTemplateStrategy(), columns=workloads.POD_TEMPLATE),
    row("v1", "ResourceQuota", "resourcequotas", short_names=("quota",), status=True,
        strategy=policy.ResourceQuotaStrategy(), columns=platform.RESOURCE_QUOTA),
    row("v1", "Pod", "pods", short_names=("po",), categories=ALL, status=True, subresources=_POD_SUBRESOURCES,
        selectable=POD_FIELDS, strategy=PodStrategy(), columns=POD),
    row("v1", "ReplicationController", "replicationcontrollers", short_names=("rc",), categories=ALL, status=True,
        subresources=(SCALE,), selectable=REPLICAS_FIELDS, strategy=ReplicationControllerStrategy(),
        columns=workloads.REPLICA_SET),
    row("v1", "Secret", "secrets", selectable=SECRET_FIELDS, strategy=configuration.SecretStrategy(),
        columns=cluster_columns.SECRET),
    row("v1", "Service", "services", short_names=("svc",), categories=ALL, status=True, selectable=SERVICE_FIELDS,
        subresources=(Subresource("proxy", "ServiceProxyOptions", "v1", PROXY),),
        strategy=service.ServiceStrategy(), columns=network.SERVICE),
    row("v1", "ServiceAccount", "serviceaccounts", short_names=("sa",),
        strategy=configuration.ServiceAccountStrategy(), columns=cluster_columns.SERVICE_ACCOUNT,
        subresources=(Subresource("token", "TokenRequest", "authentication.k8s.io/v1", CREATE_ONLY),)),
)  # fmt: skip

EVENTS = (
    row("events.k8s.io/v1", "Event", "events", short_names=("ev",), strategy=event.NewEventStrategy(),
        columns=cluster_columns.EVENT, selectable=NEW_EVENT_FIELDS, conversion=event.AS_CORE),
)  # fmt: skip
