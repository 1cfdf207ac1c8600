"""Streams to a simulated node: there is nobody to talk to, and that is what the user reads."""

import pytest

from tests.cluster import Cluster

pytestmark = pytest.mark.timeout(120)

WHY = "this node is simulated: no process runs in its containers"


@pytest.fixture(scope="module")
def imagined(simulated_cluster: Cluster) -> Cluster:
    simulated_cluster.kubectl("run", "imagined", "--image=example.com/any:1")
    simulated_cluster.kubectl("wait", "--for=condition=Ready", "pod/imagined", "--timeout=30s")
    return simulated_cluster


@pytest.mark.parametrize("words", [["exec", "imagined", "--", "true"], ["attach", "imagined"]], ids=["exec", "attach"])
def test_commands_are_refused_with_the_reason(imagined, words):
    assert WHY in imagined.run("kubectl", *words, status=1).stderr


def test_the_proxy_says_so_too(imagined):
    done = imagined.run("kubectl", "get", "--raw", "/api/v1/namespaces/default/pods/imagined:80/proxy/", status=1)
    assert WHY in done.stderr
