"""The filters and scores once more, for one node and one pod at a time, on plain objects: what the arrays must equal.

Written from the API's documentation and not from the arrays' code, slow and plain.
"""

from actors.api.quantity import bytes_of, cpu_millis
from tests.actors.scheduler.objects import Object


def tolerates(tolerations: list[Object], taint: Object) -> bool:
    for t in tolerations:
        if t.get("effect") not in (None, "", taint["effect"]):
            continue
        if t.get("key") in (None, ""):
            if t.get("operator") == "Exists":
                return True
            continue
        if t["key"] == taint["key"] and (t.get("operator") == "Exists" or t.get("value", "") == taint["value"]):
            return True
    return False


def requirement_matches(requirement: Object, labels: dict[str, str]) -> bool:
    key, operator, values = requirement["key"], requirement["operator"], requirement.get("values", [])
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    try:
        number = int(labels[key])
    except (KeyError, ValueError):
        return False
    return number > int(values[0]) if operator == "Gt" else number < int(values[0])


def term_matches(term: Object, node: Object) -> bool:
    expressions, fields = term.get("matchExpressions", []), term.get("matchFields", [])
    if not expressions and not fields:
        return False
    return all(requirement_matches(e, node["metadata"]["labels"]) for e in expressions) and all(
        requirement_matches(f, {"metadata.name": node["metadata"]["name"]}) for f in fields
    )


def affinity_matches(pod: Object, node: Object) -> bool:
    labels = node["metadata"]["labels"]
    if any(labels.get(k) != v for k, v in pod["spec"].get("nodeSelector", {}).items()):
        return False
    required = (
        pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    )
    return required is None or any(term_matches(term, node) for term in required["nodeSelectorTerms"])


def taints_allow(pod: Object, node: Object) -> bool:
    tolerations = pod["spec"].get("tolerations", [])
    return all(
        taint["effect"] == "PreferNoSchedule" or tolerates(tolerations, taint) for taint in node["spec"]["taints"]
    )


def requests(pod: Object) -> tuple[int, int]:
    asked = pod["spec"]["containers"][0]["resources"]["requests"]
    return cpu_millis(asked.get("cpu", 0)), bytes_of(asked.get("memory", 0))


def fits(pod: Object, node: Object, placed: list[Object]) -> bool:
    offered = node["status"]["allocatable"]
    if len(placed) + 1 > int(offered["pods"]):
        return False
    cpu, memory = requests(pod)
    cpu_used, memory_used = sum(requests(p)[0] for p in placed), sum(requests(p)[1] for p in placed)
    if cpu and cpu + cpu_used > cpu_millis(offered["cpu"]):
        return False
    return not memory or memory + memory_used <= bytes_of(offered["memory"])


def ports(pod: Object) -> list[tuple[str, str, int]]:
    return [
        (p.get("hostIP", "0.0.0.0"), p.get("protocol", "TCP"), p["hostPort"])
        for p in pod["spec"]["containers"][0]["ports"]
    ]


def ports_free(pod: Object, placed: list[Object]) -> bool:
    taken = [port for other in placed for port in ports(other)]
    return not any(
        (protocol, number) == (p, n) and (ip == i or "0.0.0.0" in (ip, i))
        for ip, protocol, number in ports(pod)
        for i, p, n in taken
    )


def feasible(pod: Object, node: Object, placed: list[Object]) -> bool:
    cordoned = node["spec"]["unschedulable"] and not tolerates(
        pod["spec"].get("tolerations", []),
        {"key": "node.kubernetes.io/unschedulable", "value": "", "effect": "NoSchedule"},
    )
    return (
        not cordoned
        and taints_allow(pod, node)
        and affinity_matches(pod, node)
        and ports_free(pod, placed)
        and fits(pod, node, placed)
    )
