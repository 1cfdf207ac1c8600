"""The flow schemas and priority levels that every cluster starts with.

`exempt` and `catch-all` are mandatory: they hold whatever becomes of their objects, and are written again when they are
changed or deleted. The others are suggestions: they are made once, and kept up to date while they carry the annotation
that says so. Names, precedences, shares and queues are Kubernetes' own.

Source: Kubernetes' documentation, API Priority and Fairness, Defaults. Neighbours: `fairness` falls back on the
mandatory ones; `upkeep` writes all of them.
"""

from typing import Any

AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"
API_VERSION = "flowcontrol.apiserver.k8s.io/v1"

Object = dict[str, Any]

_EVERYTHING: list[Object] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
]
_EVERY_PATH: list[Object] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]


def _level(name: str, spec: Object) -> Object:
    annotations = {AUTOUPDATE: "true"}
    metadata = {"name": name, "annotations": annotations}
    return {"kind": "PriorityLevelConfiguration", "apiVersion": API_VERSION, "metadata": metadata, "spec": spec}


def _limited(name: str, shares: int, lendable: int, queuing: tuple[int, int, int] | None) -> Object:
    """`queuing`: queues, hand size, length limit of a queue; None rejects at once."""
    response: Object = {"type": "Reject"}
    if queuing is not None:
        queues, hand, length = queuing
        response = {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
    return _level(name, {"type": "Limited", "limited": limited})


def _schema(name: str, precedence: int, level: str, rules: list[Object], by: str = "ByUser") -> Object:
    spec: Object = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": rules,
    }
    if by:
        spec["distinguisherMethod"] = {"type": by}
    metadata = {"name": name, "annotations": {AUTOUPDATE: "true"}}
    return {"kind": "FlowSchema", "apiVersion": API_VERSION, "metadata": metadata, "spec": spec}


def _rule(subjects: list[Object], resources: list[Object] | None = None, paths: list[Object] | None = None) -> Object:
    rule: Object = {"subjects": subjects}
    if resources:
        rule["resourceRules"] = resources
    if paths:
        rule["nonResourceRules"] = paths
    return rule


def _all(*subjects: Object) -> list[Object]:
    return [_rule(list(subjects), _EVERYTHING, _EVERY_PATH)]


def _on(verbs: list[str], group: str, resources: list[str], *, cluster: bool = False) -> Object:
    rule: Object = {"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]}
    if cluster:
        rule["clusterScope"] = True
    return rule


def _user(name: str) -> Object:
    return {"kind": "User", "user": {"name": name}}


def _group(name: str) -> Object:
    return {"kind": "Group", "group": {"name": name}}


def _account(name: str) -> Object:
    return {"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}}


_ANYBODY = (_group("system:unauthenticated"), _group("system:authenticated"))
_CONTROLLERS, _SCHEDULER = _user("system:kube-controller-manager"), _user("system:kube-scheduler")
_ELECT = ["get", "create", "update"]
_LEASES = _on(_ELECT, "coordination.k8s.io", ["leases"])
_PROBE_PATHS = [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]

MANDATORY_LEVELS: tuple[Object, ...] = (
    _level("exempt", {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}),
    _limited("catch-all", 5, 0, None),
)
MANDATORY_SCHEMAS: tuple[Object, ...] = (
    _schema("exempt", 1, "exempt", _all(_group("system:masters")), by=""),
    _schema("catch-all", 10_000, "catch-all", _all(*_ANYBODY)),
)
SUGGESTED_LEVELS: tuple[Object, ...] = (
    _limited("system", 30, 33, (64, 6, 50)),
    _limited("node-high", 40, 25, (64, 6, 50)),
    _limited("leader-election", 10, 0, (16, 4, 50)),
    _limited("workload-high", 40, 50, (128, 6, 50)),
    _limited("workload-low", 100, 90, (128, 6, 50)),
    _limited("global-default", 20, 50, (128, 6, 50)),
)
SUGGESTED_SCHEMAS: tuple[Object, ...] = (
    _schema("probes", 2, "exempt", [_rule(list(_ANYBODY), None, _PROBE_PATHS)], by=""),
    _schema("system-leader-election", 100, "leader-election", [_rule([_CONTROLLERS, _SCHEDULER], [_LEASES])]),
    _schema(
        "endpoint-controller",
        150,
        "workload-high",
        [
            _rule(
                [_CONTROLLERS, _account("endpoint-controller"), _account("endpointslicemirroring-controller")],
                [_on(_ELECT, "", ["endpoints"])],
            )
        ],
    ),
    _schema("workload-leader-election", 200, "leader-election", [_rule([_account("*")], [_LEASES])]),
    _schema(
        "system-node-high",
        400,
        "node-high",
        [
            _rule(
                [_group("system:nodes")],
                [
                    _on(["*"], "", ["nodes", "nodes/status"], cluster=True),
                    _on(["*"], "coordination.k8s.io", ["leases"]),
                ],
            )
        ],
    ),
    _schema("system-nodes", 500, "system", _all(_group("system:nodes"))),
    _schema("kube-controller-manager", 800, "workload-high", _all(_CONTROLLERS), by="ByNamespace"),
    _schema("kube-scheduler", 800, "workload-high", _all(_SCHEDULER), by="ByNamespace"),
    _schema("kube-system-service-accounts", 900, "workload-high", _all(_account("*")), by="ByNamespace"),
    _schema("service-accounts", 9000, "workload-low", _all(_group("system:serviceaccounts"))),
    _schema("global-default", 9900, "global-default", _all(*_ANYBODY)),
)


def objects() -> list[Object]:
    """All of them, priority levels first."""
    return [*MANDATORY_LEVELS, *SUGGESTED_LEVELS, *MANDATORY_SCHEMAS, *SUGGESTED_SCHEMAS]


def is_mandatory(obj: Object) -> bool:
    return obj["metadata"]["name"] in ("exempt", "catch-all")
