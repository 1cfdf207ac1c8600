"""metrics.k8s.io: discovery, and what the kubelets told as NodeMetrics and PodMetrics."""

from actors.kubelet.messages import ContainerStat, NodeStat, PodStat
from tests.actors.apiserver.api_harness import pod, with_account, with_api

NODES = "/apis/metrics.k8s.io/v1beta1/nodes"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"


def told(api, *stats: NodeStat) -> None:
    async def stats_of_all() -> list[NodeStat]:
        return list(stats)

    api.kubelets.stats = stats_of_all


@with_api()
async def test_what_pods_and_nodes_use(api):
    await with_account(api)
    await api.must("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "w1"}})
    made = pod("p")
    made["metadata"]["labels"] = {"app": "web"}
    await api.must("POST", "/api/v1/namespaces/default/pods", made)
    containers = [ContainerStat("c", 12_000_000, 5 << 20)]
    seen = [PodStat("default", "p", containers), PodStat("default", "gone", containers)]
    told(api, NodeStat("w1", 100.0, 15.0, 250_000_000, 1 << 30, seen), NodeStat("new", 100.0, 0.0, None, 5, []))
    node = await api.must("GET", f"{NODES}/w1")
    assert node["kind"] == "NodeMetrics"
    assert (node["usage"], node["window"]) == ({"cpu": "250000000n", "memory": "1048576Ki"}, "15.000s")
    listed = await api.must("GET", PODS)
    assert listed["kind"] == "PodMetricsList"
    assert [item["metadata"]["name"] for item in listed["items"]] == ["p"]
    assert listed["items"][0]["containers"] == [{"name": "c", "usage": {"cpu": "12000000n", "memory": "5120Ki"}}]
    assert (await api.must("GET", f"{PODS}?labelSelector=app%3Dother"))["items"] == []
    assert len((await api.must("GET", "/apis/metrics.k8s.io/v1beta1/pods?labelSelector=app%3Dweb"))["items"]) == 1
    assert (await api.get(f"{NODES}/none"))[0] == 404
    assert (await api.post(PODS, made))[0] == 405


@with_api()
async def test_it_is_discovered(api):
    listed = await api.must("GET", "/apis/metrics.k8s.io/v1beta1")
    assert {(row["name"], row["kind"]) for row in listed["resources"]} == {
        ("nodes", "NodeMetrics"), ("pods", "PodMetrics")
    }  # fmt: skip
    groups = await api.must("GET", "/apis")
    assert any(group["name"] == "metrics.k8s.io" for group in groups["groups"])
