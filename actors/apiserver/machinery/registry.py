"""The built-in resources. One of Kubernetes' that is missing is one more row in a module of `builtin`.

Order within a group is the order of discovery; groups appear in the order that kubectl resolves short names by.
"""

from actors.apiserver.machinery.builtin import (
    access,
    admission,
    core,
    extensions,
    metrics,
    platform,
    storage,
    workloads,
)
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
        *storage.STORAGE,
        *admission.ADMISSION_REGISTRATION,
        *extensions.API_EXTENSIONS,
        *extensions.API_REGISTRATION,
        *workloads.SCHEDULING,
        *platform.COORDINATION,
        *admission.NODE,
        *platform.DISCOVERY,
        *access.FLOW_CONTROL,
        *storage.DEVICES,
        *metrics.METRICS,
    )
)
