"""What a check says, and the words that all checks share."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

CONTAINER_PARTS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a Pod is not allowed: a short reason, and the particulars."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[Object, Object, int], Finding | None]  # (metadata, spec, minor version) -> what is wrong


def containers(spec: Object) -> Iterator[Object]:
    for part in CONTAINER_PARTS:
        yield from spec.get(part) or ()


def context(part: Object) -> Object:
    return part.get("securityContext") or {}


def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def named(names: list[str]) -> str:
    """Return `container "a"` or `containers "a", "b"`."""
    return f"{plural('container', 'containers', len(names))} {quoted(names)}"


def setters(pod_is_bad: bool, bad: list[str]) -> str:
    """Return who sets something: `pod and containers "a", "b"`; "" when nobody does."""
    return " and ".join([*(["pod"] if pod_is_bad else []), *([named(bad)] if bad else [])])


def is_windows(spec: Object) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


def has_own_users(spec: Object) -> bool:
    """Does the Pod run in a user namespace, where root is nobody outside?"""
    return spec.get("hostUsers") is False
