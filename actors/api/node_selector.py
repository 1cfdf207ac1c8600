"""Does one Node match a NodeSelector, or a pod's node selector and required node affinity? Pure.

The scheduler asks the same of all nodes at once, in arrays of its own; this is for those who ask about one. Source:
the node affinity of Kubernetes' documentation: terms are alternatives, the requirements of a term must all hold, and a
term without any matches nothing.
"""

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]


def matches_selector(selector: Object | None, node: Object) -> bool:
    """Whether any term of a NodeSelector matches; a missing selector matches every node."""
    if selector is None:
        return True
    return any(_term(term, node) for term in selector.get("nodeSelectorTerms") or ())


def matches_pod(spec: Object, node: Object) -> bool:
    """Whether a node is one that a pod's spec allows by nodeSelector and required node affinity."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return matches_selector(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"), node)


def _term(term: Object, node: Object) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = node["metadata"].get("labels") or {}
    names = {"metadata.name": node["metadata"]["name"]}
    return all(_holds(item, labels) for item in expressions) and all(_holds(item, names) for item in fields)


def _holds(requirement: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(value, requirement["operator"], values)
    return False


def _compares(value: str | None, operator: str, bounds: Any) -> bool:
    """Compare as whole numbers; what is none of them matches nothing."""
    try:
        number, bound = int(value or ""), int(bounds[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
