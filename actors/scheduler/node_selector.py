"""Node selector terms, as a pod's requirements hold them.

Neighbours: `requirements` makes them; `node_matching` tells which nodes they match.
"""

from typing import Any, NamedTuple

NAME_FIELD = "metadata.name"


class Requirement(NamedTuple):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeSelectorTerm(NamedTuple):
    expressions: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]

    @property
    def node_names(self) -> frozenset[str] | None:
        """Return the only names that can match, where a field requirement lists them; None: no such."""
        listed = [set(f.values) for f in self.fields if f.key == NAME_FIELD and f.operator == "In"]
        return frozenset(set.intersection(*listed)) if listed else None


def selector_term(obj: dict[str, Any]) -> NodeSelectorTerm:
    def requirements(field: str) -> tuple[Requirement, ...]:
        return tuple(Requirement(r["key"], r["operator"], tuple(r.get("values") or ())) for r in obj.get(field) or ())

    return NodeSelectorTerm(requirements("matchExpressions"), requirements("matchFields"))
