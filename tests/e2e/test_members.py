"""A cluster of one master that grows to three on its machine, and loses one again."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, eventually

ONE = """
name: growing
apiserver: {port: 0}
nodes:
  m1: {roles: [state, apiserver, scheduler, controller-manager]}
  w1: {roles: [kubelet], runtime: simulated}
"""
THREE = """
name: growing
apiserver: {port: 0}
balancer: {port: 0}
nodes:
  m1: {roles: [state, apiserver, scheduler, controller-manager]}
  m2: {roles: [state, apiserver, scheduler, controller-manager]}
  m3: {roles: [state, apiserver, scheduler, controller-manager]}
  w1: {roles: [kubelet, balancer], runtime: simulated}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(real=False, config=ONE)
    try:
        made.up()
        yield made
    finally:
        made.purge()
        made.forget()


def members(cluster: Cluster, *words: str) -> dict[str, bool]:
    """Return who is a member, and whether it votes."""
    found = json.loads(cluster.kubus("member", "list", "-o", "json", *words).stdout)
    return {each["name"]: each["votes"] for each in found}


def leaders(cluster: Cluster) -> set[str]:
    return {row["name"] for row in cluster.status()["actors"] if row["leader"]}


def test_one_master_grows_to_three_without_a_second_cluster(cluster: Cluster):
    cluster.kubectl("create", "configmap", "old", "--from-literal=a=b")
    assert members(cluster) == {"state@m1": True}
    cluster.kubus("down")
    cluster.config.write_text(THREE)
    refused = cluster.kubus("up", "--config", str(cluster.config), "--detach", status=5).stderr
    assert "state@m2, state@m3 came into the config after state@m1 had founded this cluster" in refused
    cluster.up("--join")
    assert members(cluster) == {"state@m1": True, "state@m2": True, "state@m3": True}
    assert cluster.get("configmap", "old")["data"] == {"a": "b"}
    assert "growing-m3" in cluster.kubectl("config", "get-contexts")


def test_a_dead_leader_is_succeeded_at_once(cluster: Cluster):
    before = next(name for name in leaders(cluster) if name.startswith("scheduler@"))
    cluster.kubus("kill", before)
    lease = "leases.coordination.k8s.io/kube-scheduler"

    def is_led() -> bool:
        holder = cluster.get("-n", "kube-system", lease)["spec"]["holderIdentity"]
        return bool(holder) and holder in leaders(cluster)

    eventually(is_led, "somebody leads again", 10)


def test_a_member_is_removed_and_comes_back(cluster: Cluster):
    cluster.kubus("member", "remove", "m3")
    assert members(cluster) == {"state@m1": True, "state@m2": True}
    cluster.kubectl("create", "configmap", "new", "--from-literal=a=c")
    cluster.kubus("member", "add", "m3")
    assert members(cluster)["state@m3"]
    for node in ("m1", "m2", "m3"):
        assert cluster.kubectl("--context", f"growing-{node}", "get", "configmap", "new", "-o", "name")
