"""The roles and bindings that every cluster has: Kubernetes' own names, with what our components need.

`cluster-admin`, `admin`, `edit` and `view` are for people; the last three are aggregated, and hold the rules of what
they aggregate from the start. `system:` roles are for components. Source: Kubernetes' bootstrap policy and the
documentation's page on RBAC.

Neighbours: `user_rules` has the rules for people; `ensure` creates and reconciles.
"""

from collections.abc import Iterable
from typing import Any

from actors.apiserver.auth.rules import compile_rules, uncovered
from actors.apiserver.bootstrap.user_rules import ADMIN_RULES, EDIT_RULES, VIEW_RULES

GROUP = "rbac.authorization.k8s.io"
API_VERSION = f"{GROUP}/v1"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}

Rule = dict[str, list[str]]

READ = ["get", "list", "watch"]
WRITE_EVENTS: Rule = {
    "verbs": ["create", "patch", "update"],
    "apiGroups": ["", "events.k8s.io"],
    "resources": ["events"],
}
REVIEWS: list[Rule] = [
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"]},
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"]},
]
LEADER_LEASES: Rule = {
    "verbs": ["create", "get", "list", "patch", "update", "watch"],
    "apiGroups": ["coordination.k8s.io"],
    "resources": ["leases"],
}


def rule(verbs: Iterable[str], groups: Iterable[str], *resources: str) -> Rule:
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}


def paths(*urls: str) -> Rule:
    return {"verbs": ["get"], "nonResourceURLs": list(urls)}


_SCHEDULER: list[Rule] = [
    WRITE_EVENTS,
    LEADER_LEASES,
    rule(READ, [""], "nodes", "namespaces", "services", "replicationcontrollers"),
    rule(READ, [""], "persistentvolumeclaims", "persistentvolumes"),
    rule([*READ, "delete"], [""], "pods"),
    rule(["create"], [""], "bindings", "pods/binding"),
    rule(["patch", "update"], [""], "pods/status"),
    rule(READ, ["apps"], "replicasets", "statefulsets"),
    rule(READ, ["policy"], "poddisruptionbudgets"),
    rule(READ, ["scheduling.k8s.io"], "priorityclasses"),
    rule(READ, ["storage.k8s.io"], "csidrivers", "csinodes", "csistoragecapacities", "storageclasses"),
    rule(READ, ["resource.k8s.io"], "deviceclasses", "resourceclaims", "resourceslices"),
    *REVIEWS,
]

# All controllers share one identity: the garbage collector and the namespace controller read and delete everything,
# the others create what they make.
_CONTROLLER_MANAGER: list[Rule] = [
    WRITE_EVENTS,
    LEADER_LEASES,
    rule([*READ, "delete", "deletecollection", "patch", "update"], ["*"], "*"),
    rule(["create"], [""], "configmaps", "endpoints", "persistentvolumes", "persistentvolumeclaims", "pods"),
    rule(["create"], [""], "pods/eviction", "secrets", "serviceaccounts", "serviceaccounts/token"),
    rule(["create"], ["apps"], "controllerrevisions", "replicasets"),
    rule(["create"], ["batch"], "jobs"),
    rule(["create"], ["discovery.k8s.io"], "endpointslices"),
    rule(["create"], ["resource.k8s.io"], "resourceclaims"),
    rule(["create"], ["storage.k8s.io"], "storageclasses"),
    rule(["approve", "sign"], ["certificates.k8s.io"], "signers"),
    rule(["escalate"], ["rbac.authorization.k8s.io"], "clusterroles"),  # aggregation gives away what it doesn't hold
    {"verbs": ["get"], "nonResourceURLs": ["*"]},
    *REVIEWS,
]

_NODE_PROXIER: list[Rule] = [
    WRITE_EVENTS,
    rule(["list", "watch"], [""], "services", "endpoints"),
    rule(READ, [""], "nodes"),
    rule(["list", "watch"], ["discovery.k8s.io"], "endpointslices"),
    rule(["list", "watch"], ["networking.k8s.io"], "servicecidrs", "networkpolicies"),
]

_NODE: list[Rule] = [
    *REVIEWS,
    WRITE_EVENTS,
    rule(READ, [""], "services", "pods", "secrets", "configmaps"),
    rule(["create", *READ, "patch", "update"], [""], "nodes"),
    rule(["patch", "update"], [""], "nodes/status", "pods/status"),
    rule(["create", "delete"], [""], "pods"),
    rule(["create"], [""], "pods/eviction", "serviceaccounts/token"),
    rule(["get"], [""], "serviceaccounts", "persistentvolumeclaims", "persistentvolumes"),
    rule(["create", "delete", "get", "patch", "update"], ["coordination.k8s.io"], "leases"),
]

_DISCOVERY_PATHS = (
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
    "/version/",
)  # fmt: skip
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")

_SYSTEM_ROLES: dict[str, list[Rule]] = {
    "cluster-admin": [rule(["*"], ["*"], "*"), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "system:discovery": [paths(*_DISCOVERY_PATHS)],
    "system:monitoring": [
        paths("/metrics", "/metrics/slis", "/livez", "/livez/*", "/readyz", "/readyz/*", "/healthz", "/healthz/*")
    ],
    "system:basic-user": [
        rule(["create"], ["authorization.k8s.io"], "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        rule(["create"], ["authentication.k8s.io"], "selfsubjectreviews"),
    ],
    "system:public-info-viewer": [paths(*_PUBLIC)],
    "system:service-account-issuer-discovery": [
        paths("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks",
              "/openid/v1/jwks/")
    ],
    "system:auth-delegator": REVIEWS,
    "system:kube-scheduler": _SCHEDULER,
    "system:kube-controller-manager": _CONTROLLER_MANAGER,
    "system:node-proxier": _NODE_PROXIER,
    "system:node": _NODE,
    "system:node-bootstrapper": [
        rule(["create", "get", "list", "watch"], ["certificates.k8s.io"], "certificatesigningrequests")
    ],
    **{
        f"system:certificates.k8s.io:certificatesigningrequests:{kind}": [
            rule(["create"], ["certificates.k8s.io"], f"certificatesigningrequests/{kind}")
        ]
        for kind in ("nodeclient", "selfnodeclient")
    },
    **{
        f"system:certificates.k8s.io:{signer}-approver": [
            {**rule(["approve"], ["certificates.k8s.io"], "signers"), "resourceNames": [f"kubernetes.io/{signer}"]}
        ]
        for signer in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown")
    },
    "system:kube-dns": [
        rule(["list", "watch"], [""], "endpoints", "services", "namespaces", "pods", "nodes"),
        rule(["list", "watch"], ["discovery.k8s.io"], "endpointslices"),
    ],
}  # fmt: skip

_USER, _GROUP = "User", "Group"

# role (and name of its binding) -> subjects. The node role has none: the node authorizer decides on kubelets.
_BINDINGS: dict[str, list[tuple[str, str]]] = {
    "cluster-admin": [(_GROUP, "system:masters")],
    "system:discovery": [(_GROUP, "system:authenticated")],
    "system:monitoring": [(_GROUP, "system:monitoring")],
    "system:basic-user": [(_GROUP, "system:authenticated")],
    "system:public-info-viewer": [(_GROUP, "system:authenticated"), (_GROUP, "system:unauthenticated")],
    "system:service-account-issuer-discovery": [(_GROUP, "system:serviceaccounts")],
    "system:kube-scheduler": [(_USER, "system:kube-scheduler")],
    "system:kube-controller-manager": [(_USER, "system:kube-controller-manager")],
    "system:node-proxier": [(_USER, "system:kube-proxy")],
    "system:kube-dns": [(_USER, "system:kube-dns")],
    "system:node": [],
    "system:node-bootstrapper": [(_GROUP, "system:bootstrappers")],
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": [(_GROUP, "system:bootstrappers")],
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": [(_GROUP, "system:nodes")],
}


def objects() -> list[dict[str, Any]]:
    """All ClusterRoles, then all ClusterRoleBindings."""
    roles = [_role(name, rules) for name, rules in _SYSTEM_ROLES.items()]
    return roles + _user_roles() + [_binding(name, subjects) for name, subjects in _BINDINGS.items()]


def reconciled(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return a stored object with what it lacks of the wanted one; None when it is to be left as it is."""
    if not wanted["apiVersion"].startswith(GROUP):
        return None
    if (present["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false":
        return None
    if wanted["kind"] == "ClusterRole":
        missing = uncovered(compile_rules(wanted["rules"]), compile_rules(present.get("rules")))
        if not missing and present.get("aggregationRule") == wanted.get("aggregationRule"):
            return None
        changed = {**present, "rules": [*(present.get("rules") or ()), *missing]}
        if "aggregationRule" in wanted:
            changed["aggregationRule"] = wanted["aggregationRule"]
        return changed
    lacking = [subject for subject in wanted["subjects"] if subject not in (present.get("subjects") or ())]
    return {**present, "subjects": [*(present.get("subjects") or ()), *lacking]} if lacking else None


def _metadata(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "labels": BOOTSTRAPPING | (labels or {}), "annotations": {AUTOUPDATE: "true"}}


def _role(name: str, rules: list[Rule], labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"kind": "ClusterRole", "apiVersion": API_VERSION, "metadata": _metadata(name, labels), "rules": rules}


def _user_roles() -> list[dict[str, Any]]:
    """admin, edit and view, and the roles that they aggregate: admin holds edit, edit holds view."""

    def label(name: str) -> str:
        return f"{GROUP}/aggregate-to-{name}"

    made = []
    whole: list[Rule] = []
    for name, rules, into in (("view", VIEW_RULES, "edit"), ("edit", EDIT_RULES, "admin"), ("admin", ADMIN_RULES, "")):
        whole = whole + rules
        role = _role(name, whole, {label(into): "true"} if into else None)
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {label(name): "true"}}]}
        made += [_role(f"system:aggregate-to-{name}", rules, {label(name): "true"}), role]
    return made


def _binding(name: str, subjects: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "kind": "ClusterRoleBinding",
        "apiVersion": API_VERSION,
        "metadata": _metadata(name),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": kind, "apiGroup": GROUP, "name": subject} for kind, subject in subjects],
    }
