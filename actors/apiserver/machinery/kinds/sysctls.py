"""Validation of the kernel parameters that a pod asks for: their names, and each only once.

Which of them a node allows is the node's to say: its kubelet refuses the pod.
"""

import re
from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field

_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"({_SEGMENT}[./])*{_SEGMENT}")
_MAX_NAME = 253  # as for every qualified name


def sysctl_causes(sysctls: list[dict[str, Any]] | None, path: str) -> list[Cause]:
    """Return what is wrong with securityContext.sysctls."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, item in enumerate(sysctls or ()):
        name, at = item.get("name", ""), f"{path}[{i}].name"
        if not name:
            causes.append(field.required(at))
        elif len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            detail = f"must have at most {_MAX_NAME} characters and match regex ^({_SEGMENT}[\\./])*{_SEGMENT}$"
            causes.append(field.invalid(at, name, detail))
        elif name.replace("/", ".") in seen:
            causes.append(field.duplicate(at, name))
        seen.add(name.replace("/", "."))
    return causes
