"""The built-in resources. One of Kubernetes' that is missing is one more row in a module of `builtin`.

Order within a group is the order of discovery; groups appear in the order that kubectl resolves short names by.
"""

from actors.apiserver.machinery.builtin import access, core, platform, workloads
from actors.apiserver.machinery.resource import Registry

REGISTRY = Registry(
    (
        *core.CORE,
        *workloads.APPS,
        *core.EVENTS,
        *access.REVIEWS,
        *workloads.AUTOSCALING,
        *workloads.BATCH,
        *access.CERTIFICATES,
        *platform.NETWORKING,
        *workloads.POLICY,
        *access.RBAC,
        *platform.STORAGE,
        *workloads.SCHEDULING,
        *platform.COORDINATION,
        *platform.DISCOVERY,
        *access.FLOW_CONTROL,
    )
)
