"""The ResourceQuota control loop: what is counted, what is worth a count, and what a status becomes."""

import pytest

from actors.controller_manager.actions import Update
from actors.controller_manager.resource_quota.reconcile import counted_resources, reconcile
from actors.controller_manager.resource_quota.replenish import frees

from .objects import NOW, metadata


def quota(hard: dict, status: dict | None = None) -> dict:
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata("q"), "spec": {"hard": hard}}
    return made | ({"status": status} if status is not None else {})


def pod(phase: str = "Running", cpu: str = "1") -> dict:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": metadata("p"), "spec": {"containers": [container]}, "status": {"phase": phase}}


def test_what_must_be_listed():
    hard = {"pods": "1", "requests.cpu": "1", "count/widgets.example.com": "1", "secrets": "2", "nonsense": "1"}
    assert counted_resources(quota(hard)) == {"pods", "widgets.example.com", "secrets"}


def test_a_new_quota_is_counted():
    hard = {"pods": "5", "requests.cpu": "10", "secrets": "3"}
    content = {"pods": [pod(), pod("Succeeded"), pod(cpu="500m")], "secrets": [{"metadata": metadata("s")}]}
    (update,) = reconcile(quota(hard), content, NOW)
    assert isinstance(update, Update)
    assert update.subresource == "status"
    assert update.obj["status"] == {"hard": hard, "used": {"pods": "2", "requests.cpu": "1500m", "secrets": "1"}}


def test_a_true_status_is_left_alone():
    status = {"hard": {"pods": "5"}, "used": {"pods": "1"}}
    assert reconcile(quota({"pods": "5"}, status), {"pods": [pod()]}, NOW) == []


@pytest.mark.parametrize(
    "status",
    [
        {"hard": {"pods": "4"}, "used": {"pods": "1"}},
        {"hard": {"pods": "5"}, "used": {"pods": "2"}},
        {"hard": {"pods": "5"}, "used": {"pods": "1", "secrets": "1"}},
        {},
    ],
)
def test_a_false_status_is_mended(status):
    (update,) = reconcile(quota({"pods": "5"}, status), {"pods": [pod()]}, NOW)
    assert update.obj["status"] == {"hard": {"pods": "5"}, "used": {"pods": "1"}}


def test_what_is_not_served_has_no_usage():
    (update,) = reconcile(quota({"count/widgets.example.com": "5"}), {}, NOW)
    assert update.obj["status"]["used"] == {}


def service(kind: str, ports: int = 1) -> dict:
    return {"metadata": metadata("s"), "spec": {"type": kind, "ports": [{}] * ports}}


@pytest.mark.parametrize(
    ("resource", "old", "new", "worth"),
    [
        ("pods", None, pod(), False),
        ("pods", pod(), pod(), False),
        ("pods", pod(), None, True),
        ("pods", pod(), pod("Failed"), True),
        ("pods", pod("Failed"), pod("Failed"), False),
        ("pods", pod(cpu="2"), pod(cpu="1"), True),
        ("services", service("NodePort"), service("ClusterIP"), True),
        ("services", service("NodePort", 2), service("NodePort"), True),
        ("services", service("NodePort"), service("NodePort"), False),
        ("secrets", {}, {}, False),
        ("secrets", {}, None, True),
    ],
)
def test_what_may_free_something(resource, old, new, worth):
    assert frees(resource, old, new) is worth
