"""A cluster whose state is a real etcd: no state actor, and everything else as always."""

import json
import subprocess

import pytest

from tests.cluster import Cluster, eventually
from tests.conftest import brought_up
from tests.real_etcd import RealEtcd

CONFIG = """
name: on-etcd
apiserver:
  port: 0
state:
  backend: etcd
  endpoints: {endpoints}
  compact_every_s: 2
nodes:
  m1:
    roles: [apiserver, scheduler, controller-manager]
  w1:
    roles: [kubelet]
    runtime: simulated
"""


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield etcd


@pytest.fixture(scope="module")
def cluster(etcd):
    yield from brought_up(real=False, config=CONFIG.format(endpoints=json.dumps(etcd.endpoints)))


def test_kubectl_creates_gets_and_watches(cluster: Cluster, etcd):
    assert "state@m1" not in cluster.kubus("status").stdout
    cluster.kubectl("create", "deployment", "web", "--image=kubus.local/pause", "--replicas=2")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    watching = subprocess.Popen(
        cluster.inside(["kubectl", "get", "configmaps", "--watch", "-o", "name"]),
        stdout=subprocess.PIPE, text=True, env=cluster.environment(),
    )  # fmt: skip
    try:
        cluster.kubectl("create", "configmap", "seen")
        while watching.stdout.readline().strip() != "configmap/seen":
            assert watching.poll() is None
    finally:
        watching.kill()
        watching.communicate()
    stored = etcd.etcdctl("get", "/registry/apps/deployments/default/web", "--print-value-only").stdout
    assert json.loads(stored)["metadata"]["name"] == "web"


def test_commands_for_state_actors_say_that_there_are_none(cluster: Cluster, tmp_path):
    assert "state is in etcd" in cluster.kubus("member", "list", status=1).stderr
    assert "state is in etcd" in cluster.kubus("snapshot", "save", str(tmp_path / "s"), status=1).stderr


def test_history_is_compacted(cluster: Cluster, etcd):
    first = cluster.get("configmap", "kube-root-ca.crt")["metadata"]["resourceVersion"]

    def refused():
        cluster.kubectl("annotate", "configmap", "seen", f"at={first}", "--overwrite")
        done = etcd.etcdctl("get", "x", f"--rev={first}", check=False)
        return "has been compacted" in done.stderr

    eventually(refused, "the oldest revision is gone")


def test_etcd_goes_away_and_comes_back(cluster: Cluster, etcd):
    etcd.kill("e0")
    refused = cluster.run("kubectl", "create", "configmap", "late", "--request-timeout=1s", status=None)
    assert refused.returncode != 0
    etcd.launch("e0")
    etcd.wait("e0")
    eventually(lambda: cluster.kubectl("create", "configmap", "back"), "writes are taken again")
    assert cluster.get("deployment", "web")["status"]["readyReplicas"] == 2
    assert cluster.actor("apiserver@m1")["restarts"] == 0
