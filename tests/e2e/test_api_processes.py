"""An API server of several processes: one port, one API, and what one has written the other has too."""

import http.client
import json
from pathlib import Path

import pytest

from tests.bench.bench_api import Target
from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(120)

CONFIG = """
name: e2e-processes
apiserver: {port: 0, processes: 2}
nodes:
  m1: {roles: [state, apiserver, controller-manager]}
"""
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def cluster():
    made = Cluster(real=False, config=CONFIG)
    try:
        made.up()
        yield made
    finally:
        made.purge()
        made.forget()


def ask(target: Target, verb: str, path: str, body: object = None) -> int:
    """One request on a connection of its own, which the kernel deals to one of the processes."""
    connection = http.client.HTTPSConnection(target.host, target.port, context=target.tls, timeout=20)
    connection.request(verb, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def requests_of(cluster: Cluster, name: str) -> int:
    text = json.loads(cluster.kubus("call", name, "control.metrics").stdout)["text"]
    counts = [line for line in text.splitlines() if line.startswith("apiserver_request_total{")]
    return sum(int(float(line.split()[-1])) for line in counts if 'resource="configmaps"' in line)


def test_processes_share_the_port_and_the_work_and_survive_each_other(cluster):
    target = Target(Path(cluster.data_dir) / "kubeconfig")
    names = [actor["name"] for actor in cluster.status()["actors"]]
    assert [name for name in names if name.startswith("apiserver")] == ["apiserver@m1", "apiserver@m1.2"]
    for number in range(30):
        assert ask(target, "POST", CONFIG_MAPS, {"metadata": {"name": f"cm-{number}"}}) == 201
        assert ask(target, "GET", f"{CONFIG_MAPS}/cm-{number}") == 200  # maybe of the other: it is as new
    assert all(requests_of(cluster, name) > 0 for name in ("apiserver@m1", "apiserver@m1.2"))
    before = cluster.actor("apiserver@m1")["pid"]
    cluster.kubus("kill", "apiserver@m1", "--signal", "KILL")
    eventually(lambda: ask(target, "GET", f"{CONFIG_MAPS}/cm-0") == 200, "the API answers", 10)
    eventually(lambda: cluster.actor("apiserver@m1")["health"] == "serving", "the killed one is back", 20)
    assert cluster.actor("apiserver@m1")["pid"] != before
    assert all(ask(target, "GET", f"{CONFIG_MAPS}/cm-1") == 200 for _ in range(10)), "the same port as before"
