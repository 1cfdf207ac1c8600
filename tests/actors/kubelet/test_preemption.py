"""Who leaves for a critical pod."""

from typing import Any

import pytest

from actors.kubelet import pod as pods
from actors.kubelet.admission import Place
from actors.kubelet.eviction.preemption import victims

from .pods import container, pod

CRITICAL = 2_000_000_000


def asking(name: str, cpu: str, quality: str = "Burstable", **spec: Any) -> dict[str, Any]:
    resources: dict[str, Any] = {"requests": {"cpu": cpu, "memory": "1Mi"}} if cpu else {}
    if quality == "Guaranteed":
        resources["limits"] = resources["requests"]
    made = pod(container(resources=resources), **spec)
    made["metadata"] |= {"name": name, "uid": name}
    return made


def chosen(wanted: dict[str, Any], *others: dict[str, Any], cpu: str = "10", count: str = "10") -> list[str]:
    place = Place(allocatable={"cpu": cpu, "memory": "1Gi", "pods": count}, others=others)
    return sorted(pods.name(item) for item in victims(wanted, place))


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([asking("a", "6"), asking("b", "3")], ["b"]),  # the least that is enough
        ([asking("a", "6"), asking("b", "2"), asking("c", "1")], ["c"]),
        ([asking("a", "1"), asking("b", "1"), asking("c", "8", priority=CRITICAL)], ["a", "b"]),
        ([asking("a", "3", "Guaranteed"), asking("b", "7")], ["b"]),  # what has a guarantee stays, if it can
        ([asking("a", "9", "Guaranteed"), asking("b", "1")], ["a"]),
        ([asking("a", "9", priority=CRITICAL), asking("b", "1")], []),  # not even that would be enough
        ([asking("a", "1")], []),  # it fits
    ],
)
def test_who_leaves_for_two_cpus(others: list[dict[str, Any]], expected: list[str]) -> None:
    assert chosen(asking("new", "2", priority=CRITICAL), *others) == expected


def test_nobody_leaves_for_a_pod_that_is_not_critical() -> None:
    assert chosen(asking("new", "2"), asking("a", "9")) == []


def test_a_place_is_worth_any_pod() -> None:
    others = [asking("a", "1", "Guaranteed"), asking("b", "")]
    assert chosen(asking("new", "1", priority=CRITICAL), *others, count="2") == ["b"]


def test_what_room_does_not_help_is_refused() -> None:
    wanted = asking("new", "2", priority=CRITICAL, securityContext={"sysctls": [{"name": "kernel.x", "value": "1"}]})
    assert chosen(wanted, asking("a", "9")) == []
