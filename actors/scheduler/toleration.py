"""Taints a pod tolerates. An empty key with Exists tolerates every taint, an empty effect every effect.

Neighbours: the filters `node_unschedulable` and `taint_toleration`, the score `taint_toleration`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from actors.scheduler.node_info import Taint


class Toleration(NamedTuple):
    key: str
    operator: str  # Exists | Equal
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        return self.operator == "Exists" or (bool(self.key) and self.value == taint.value)


def toleration(obj: dict[str, Any]) -> Toleration:
    return Toleration(
        obj.get("key") or "", obj.get("operator") or "Equal", obj.get("value") or "", obj.get("effect") or ""
    )


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(t.tolerates(taint) for t in tolerations)
