"""What a write to pods/resize may change: amounts of cpu and memory, none of which may vanish."""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field, quantities

RESIZABLE = frozenset({"cpu", "memory"})


def resize_causes(spec: dict[str, Any], before: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for kind in ("containers", "initContainers"):
        for i, (container, old) in enumerate(zip(spec.get(kind) or (), before.get(kind) or (), strict=True)):
            path = f"spec.{kind}[{i}]"
            after, was = container.get("resources") or {}, old.get("resources") or {}
            if after == was:
                continue
            if kind == "initContainers" and container.get("restartPolicy") != "Always":
                causes.append(field.forbidden(f"{path}.resources", "only sidecar init containers can be resized"))
            for which in ("requests", "limits"):
                causes += _list_causes(after.get(which) or {}, was.get(which) or {}, f"{path}.resources.{which}")
            causes += _restart_causes(spec, container, after, was, path)
    return causes + _whole_pod_causes(spec.get("resources") or {}, before.get("resources") or {})


def _whole_pod_causes(after: dict[str, Any], was: dict[str, Any]) -> list[Cause]:
    """The amounts of the pod as a whole may change as those of containers do."""
    if after == was:
        return []
    if not was:
        return [field.forbidden("spec.resources", "resources of a pod as a whole cannot be added to a pod that runs")]
    causes = []
    for which in ("requests", "limits"):
        causes += _list_causes(after.get(which) or {}, was.get(which) or {}, f"spec.resources.{which}")
    return causes


def _list_causes(after: dict[str, Any], was: dict[str, Any], path: str) -> list[Cause]:
    causes = []
    for name in sorted(after.keys() | was.keys()):
        if name not in after:
            causes.append(field.forbidden(path, f"resource {path.rpartition('.')[2]} cannot be removed"))
        elif name not in RESIZABLE and _amount(after[name]) != _amount(was.get(name)):
            causes.append(field.forbidden(f"{path}[{name}]", "only cpu and memory resources are mutable"))
    return causes


def _restart_causes(
    spec: dict[str, Any], container: dict[str, Any], after: dict[str, Any], was: dict[str, Any], path: str
) -> list[Cause]:
    """A container whose pod never restarts anything can't be restarted to be resized."""
    if spec.get("restartPolicy") != "Never":
        return []
    policies = {item["resourceName"]: item["restartPolicy"] for item in container.get("resizePolicy") or ()}
    for name in sorted(RESIZABLE):
        before, now = ([(part.get(which) or {}).get(name) for which in ("requests", "limits")] for part in (was, after))
        if policies.get(name) == "RestartContainer" and before != now:
            return [field.forbidden(f"{path}.resources", "a container of a pod that never restarts can't be resized "
                                    "with a restart")]  # fmt: skip
    return []


def _amount(value: Any) -> Any:
    return None if value is None else quantities.amount(value)
