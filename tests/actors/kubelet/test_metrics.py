"""What a node says of itself to a metrics collector, by Kubernetes' names."""

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from actors.kubelet.counts import Counts, container_type
from actors.kubelet.metrics import MetricsServing

from .pods import container, pod
from .test_node_kubelet import World, scenario


def scraped(world: World, path: str = "/metrics") -> dict[tuple[str, ...], float]:
    """Return the samples by name and the values of their labels."""
    assert world.node is not None
    reply = MetricsServing((CollectorRegistry(),), {"w1": world.node.metrics}).paths()[path]("w1", "")
    assert (reply.status, reply.content_type.split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(reply.body.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_what_runs_and_was_started(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        before = scraped(world)
        assert before["kubelet_node_name", "w1"] == 1
        assert before["kubelet_running_pods",] == before["kubelet_running_containers", "running"] == 0
        world.create(container("a"), container("b"), initContainers=[container("first")])
        await world.until(lambda: world.ready())
        now = scraped(world)
        assert (now["kubelet_running_pods",], now["kubelet_running_containers", "running"]) == (1, 2)
        assert now["kubelet_running_containers", "exited"] == 1
        assert now["kubelet_started_pods_total",] == 1
        assert now["kubelet_started_pods_errors_total",] == 0
        assert now["kubelet_started_containers_total", "container"] == 2
        assert now["kubelet_started_containers_total", "init_container"] == 1
        assert now["kubelet_pod_start_duration_seconds_count",] == 1
        assert now["kubelet_pod_start_duration_seconds_bucket", "0.5"] == 1
        world.api.request_deletion("p", 5)
        await world.until(lambda: world.api.pod("p") is None)
        after = scraped(world)
        assert after["kubelet_running_pods",] == after["kubelet_running_containers", "running"] == 0
        assert after["kubelet_started_pods_total",] == 1
        assert scraped(world, "/metrics/probes") == {}

    scenario(tmp_path, play)


def test_a_pod_that_ran_before_this_kubelet_was_not_started_by_it(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create()
        await world.until(lambda: world.ready())
        await world.kill()
        await world.start()
        await world.until(lambda: scraped(world)["kubelet_running_pods",] == 1)
        now = scraped(world)
        assert now["kubelet_started_pods_total",] == now["kubelet_pod_start_duration_seconds_count",] == 0

    scenario(tmp_path, play)


def test_a_start_that_fails_is_counted_by_its_reason(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(rules={"start-error": "no such file"})
        failed = ("kubelet_started_containers_errors_total", "RunContainerError", "container")
        await world.until(lambda: scraped(world).get(failed, 0) == 1)
        assert scraped(world)["kubelet_pod_start_duration_seconds_count",] == 0

    scenario(tmp_path, play)


def test_types_of_containers() -> None:
    made = pod(container("c"), initContainers=[container("i")], ephemeralContainers=[container("e")])
    kinds = {name: container_type(made, name) for name in "cie"}
    assert kinds == {"c": "container", "i": "init_container", "e": "ephemeral_container"}


def test_a_start_of_an_hour_and_more_is_counted() -> None:
    counts = Counts()
    for seconds in (0.5, 0.6, 4000):
        counts.pod_started(seconds)
    assert (counts.pod_start_buckets[:2], counts.pod_start_buckets[-1]) == ([1, 1], 1)
    assert counts.pod_start_seconds == 4001.1
