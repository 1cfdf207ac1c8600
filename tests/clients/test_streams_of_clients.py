"""The client libraries' exec, logs and port-forward, at a pod on real containerd."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

SCRIPT = str(Path(__file__).with_name("streams_of_clients.py"))
SPACE = ("-n", "client-streams")
SERVE = "mkdir -p /www; echo hello from the pod > /www/index.html; echo ready; exec httpd -f -p 8080 -h /www"


@pytest.fixture(scope="module")
def talk(real_cluster: Cluster) -> Iterator[Cluster]:
    real_cluster.kubectl("create", "namespace", "client-streams")
    container = {"name": "c", "image": "kubus.local/toolbox:latest", "command": ["sh", "-c", SERVE]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "talk"}, "spec": spec}
    real_cluster.kubectl(*SPACE, "create", "-f", "-", stdin=json.dumps(made))
    real_cluster.kubectl(*SPACE, "wait", "--for=condition=Ready", "pod/talk", "--timeout=60s", limit_s=70)
    eventually(lambda: real_cluster.kubectl(*SPACE, "logs", "talk") == "ready\n", "the pod serves")
    yield real_cluster
    real_cluster.kubectl("delete", "namespace", "client-streams", limit_s=90)


@pytest.mark.parametrize("client", ["kubernetes", "kubernetes-asyncio", "lightkube", "kr8s"])
def test_streams(talk: Cluster, client: str):
    assert talk.run(sys.executable, SCRIPT, client).stdout.endswith("done\n")
