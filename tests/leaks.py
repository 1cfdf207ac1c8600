"""After each test with a real cluster: nothing on its nodes belongs to a pod that the API no longer has. And at the
cluster's end, where no pod is left at all: nothing whatever is left of pods, nor do actors hold what is gone, nor does
containerd store what no image needs.

Pods that still end are in the API until nothing of them is left, so what is found here without a pod is a leak, or goes
in a moment. A cluster that a test took down is looked at by `traces.of_cluster` instead.

Neighbours: `conftest` calls it; `traces` looks.
"""

import json
from http.client import HTTPException

from runtime.supervisor.datadir import holder
from tests import traces
from tests.cluster import Cluster, eventually
from tests.conformance.access import Api

LIMIT_S = 20.0  # for what goes in a moment
EMPTY_LIMIT_S = 80.0  # for all: a kubelet looks each minute for sandboxes that nobody ended


def check(cluster: Cluster) -> None:
    """AssertionError when something stays that belongs to no pod."""
    nodes = [path.parent.name for path in (cluster.data_dir / "nodes").glob("*/containerd")]
    if any(traces.of_gone_pods(cluster.data_dir, node, set()) for node in nodes) and holder(cluster.data_dir):
        eventually(lambda: _is_clean(cluster, nodes), "nothing is left of pods that are gone", LIMIT_S)


def check_empty(cluster: Cluster) -> None:
    """AssertionError when a cluster without pods has anything of pods: in containerd, the network, or open files."""
    nodes = [path.parent.name for path in (cluster.data_dir / "nodes").glob("*/containerd")]
    if not nodes or not holder(cluster.data_dir) or _uids(cluster):
        return
    for node in nodes:
        eventually(lambda node=node: _is_empty(cluster, node), f"nothing is left of pods on {node}", EMPTY_LIMIT_S)


def _is_empty(cluster: Cluster, node: str) -> bool:
    pid = int(cluster.actor(f"kubelet@{node}")["pid"])
    left = traces.of_pods(cluster.data_dir, node, cluster.inside([]))
    left += traces.of_descriptors(pid, cluster.data_dir, node)
    left += traces.of_images(cluster.data_dir, node)
    assert left == [], left
    return True


def _is_clean(cluster: Cluster, nodes: list[str]) -> bool:
    """What is looked at first can't be of a pod that was made between the two looks."""
    found = {node: traces.of_gone_pods(cluster.data_dir, node, set()) for node in nodes}
    known = _uids(cluster)
    left = [line for lines in found.values() for line in lines if not known & set(traces.UID.findall(line))]
    assert left == [], left
    return True


def _uids(cluster: Cluster) -> set[str]:
    try:
        pods = json.loads(Api(cluster).request("GET", "/api/v1/pods"))
    except HTTPException as error:
        raise OSError(f"the API server hangs up: {error}") from error
    return {item["metadata"]["uid"] for item in pods["items"]}
