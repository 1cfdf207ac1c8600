"""What view, edit and admin may do in a namespace. Each holds the one before it.

Source: the documentation's page on RBAC, section on user-facing roles. `view` reads all but secrets and roles, for a
secret may be worth more than the namespace. Neighbours: `policy` makes roles of these.
"""

READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]

Rule = dict[str, list[str]]

_CORE = [
    "configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers",
    "replicationcontrollers/scale", "serviceaccounts", "services",
]  # fmt: skip
_CORE_READ = [
    *_CORE, "bindings", "events", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims/status",
    "pods/log", "pods/status", "replicationcontrollers/status", "resourcequotas", "resourcequotas/status",
    "services/status",
]  # fmt: skip
_APPS = ["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
         "statefulsets/scale"]  # fmt: skip
_APPS_READ = [*_APPS, "controllerrevisions", "daemonsets/status", "deployments/status", "replicasets/status",
              "statefulsets/status"]  # fmt: skip
_OTHERS = {
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
}


def _with_status(resources: list[str]) -> list[str]:
    return [name for resource in resources for name in (resource, f"{resource}/status")]


VIEW_RULES: list[Rule] = [
    {"verbs": READ, "apiGroups": [""], "resources": _CORE_READ},
    {"verbs": READ, "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
    {"verbs": READ, "apiGroups": ["apps"], "resources": _APPS_READ},
    {"verbs": ["get", "list"], "apiGroups": ["metrics.k8s.io"], "resources": ["nodes", "pods"]},
    *({"verbs": READ, "apiGroups": [group], "resources": _with_status(names)} for group, names in _OTHERS.items()),
]

EDIT_RULES: list[Rule] = [
    {
        "verbs": READ,
        "apiGroups": [""],
        "resources": ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"],
    },
    {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"]},
    {
        "verbs": WRITE,
        "apiGroups": [""],
        "resources": [
            *_CORE, "events", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy",
        ],
    },
    {"verbs": ["create"], "apiGroups": [""], "resources": ["pods/eviction", "serviceaccounts/token"]},
    {"verbs": WRITE, "apiGroups": ["apps"], "resources": [*_APPS, "deployments/rollback"]},
    *({"verbs": WRITE, "apiGroups": [group], "resources": names} for group, names in _OTHERS.items()),
    {"verbs": [*READ, *WRITE], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]},
]  # fmt: skip

ADMIN_RULES: list[Rule] = [
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"]},
    {
        "verbs": [*READ, *WRITE],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["rolebindings", "roles"],
    },
]
