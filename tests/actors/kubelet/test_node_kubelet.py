"""A whole node in virtual time: real kubelet, simulated runtime, imagined API. Hours in a blink, and kills anywhere."""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog

from actors.api.config import ClusterConfig, KubeletConfig, NodeConfig, PriorityGrace
from actors.api.events import Outbox
from actors.kubelet.machine import simulated_machine
from actors.kubelet.node_kubelet import BY_NODE, NodeKubelet, Shared, node_of
from runtime.background import Listener
from runtime.informer import Informer
from runtime.virtual_time import VirtualClock, run

from .imagined_api import ImaginedApi, LastingDriver
from .pods import container, pod

RULE = "simulated.kubus.dev/"


class World:
    """One node: an API and a runtime that last, and a kubelet that comes and goes."""

    def __init__(self, data_dir: Path, config: KubeletConfig | None = None):
        self.config = config or KubeletConfig()
        self.data_dir = data_dir
        self.api = ImaginedApi()
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.driver = LastingDriver(0.05, self.clock)
        self.failures: list[BaseException] = []
        self.worker_faults = 0  # that are no failures of the test
        self.node: NodeKubelet | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._life = 0
        self._controller = asyncio.ensure_future(self._give_pod_cidrs())
        asyncio.get_running_loop().set_exception_handler(Listener(self.failures.append, structlog.get_logger()))

    async def start(self) -> None:
        """Start a kubelet, as the actor does."""
        source = self.api.source
        log, spawn = structlog.get_logger(), functools.partial(self._spawn, self._life)
        pods, nodes = (Informer(source(name), name=name, log=log, clock=self.clock) for name in ("pods", "nodes"))
        pods.add_index(BY_NODE, node_of)
        shared = Shared(
            cluster=ClusterConfig(nodes={}),
            config=NodeConfig(roles=["kubelet"], runtime="simulated", kubelet=self.config),
            data_dir=self.data_dir, owner="test", api=self.api, outbox=Outbox(self.api, self.clock),
            status_writes=asyncio.Semaphore(8), heartbeats=asyncio.Semaphore(8), nodes=nodes, pods=pods, services=None,
            spawn=spawn, clock=self.clock, log=log,
        )  # fmt: skip
        node = self.node = NodeKubelet("w1", self.driver, simulated_machine(110, {}, "192.0.2.1"), shared)
        pods.on_change(lambda key, old, new: node.pod_changed(key, old, new))
        nodes.on_change(lambda key, old, new: node.node_changed())
        spawn(pods.run(), "pods")
        spawn(nodes.run(), "nodes")
        await node.start()
        spawn(self._first_look(node, pods), "first look")

    async def kill(self) -> None:
        """End the kubelet without warning, wherever it is."""
        self._collect_faults()
        self.node = None
        self._life += 1
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _collect_faults(self) -> None:
        if self.node is not None and (faults := self.node.inspect()["worker_faults"]) != self.worker_faults:
            self.failures.append(AssertionError(f"a pod could not be dealt with {faults} times"))

    async def stop(self) -> None:
        await self.kill()
        self._controller.cancel()
        await self.driver.close()

    async def settle(self) -> None:
        """Wait until the node is ready for pods."""
        await self.until(lambda: "status" in self.api.objects.get("nodes", {}).get("w1", {}))

    def create(
        self, *containers: dict[str, Any], name: str = "p", rules: dict[str, str] | None = None, **spec: Any
    ) -> None:
        made = pod(*containers, **spec)
        made["metadata"] = {"name": name, "namespace": "default"}
        if rules:
            made["metadata"]["annotations"] = {RULE + key: value for key, value in rules.items()}
        self.api.put("pods", made)

    def status(self, name: str = "p") -> dict[str, Any]:
        return (self.api.pod(name) or {}).get("status") or {}

    def ready(self, name: str = "p") -> bool:
        conditions = {item["type"]: item["status"] for item in self.status(name).get("conditions") or ()}
        return conditions.get("Ready") == "True"

    def only(self, name: str = "p") -> dict[str, Any]:
        return self.status(name)["containerStatuses"][0]

    async def until(self, condition: Callable[[], Any], limit_s: float = 60.0) -> float:
        """Wait in virtual time; return how long it took."""
        begin = self.clock.monotonic()
        while not condition():
            assert self.clock.monotonic() - begin < limit_s, f"not within {limit_s} s: {self.api.objects.get('pods')}"
            await asyncio.sleep(0.01)
        return self.clock.monotonic() - begin

    def _spawn(self, life: int, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run a task of a kubelet's life; what timers of an earlier life ask for dies unborn."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        if life != self._life:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failures.append(task.exception())

    async def _first_look(self, node: NodeKubelet, pods: Informer) -> None:
        await pods.synced()
        node.pods.look_at_all()

    async def _give_pod_cidrs(self) -> None:
        while True:
            for node in list(self.api.objects.get("nodes", {}).values()):
                if not node["spec"].get("podCIDR"):
                    self.api.put("nodes", {**node, "spec": {**node["spec"], "podCIDR": "10.0.0.0/24"}})
            await asyncio.sleep(0.01)


def scenario(
    tmp_path: Path,
    play: Callable[[World], Coroutine[Any, Any, None]],
    started: bool = True,
    manifests: bool = False,
    **config: Any,
) -> None:
    if manifests:
        config["pod_manifests"] = str(tmp_path / "manifests")

    @contextlib.asynccontextmanager
    async def world() -> AsyncIterator[World]:
        made = World(tmp_path, KubeletConfig(**config))
        try:
            if started:
                await made.start()
                await made.settle()
            yield made
        finally:
            await made.stop()
        assert made.failures == []

    async def main() -> None:
        async with world() as made:
            await play(made)

    run(main())


def test_a_node_registers_and_says_that_it_lives(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        nodes = world.api.objects.setdefault("nodes", {})
        await world.until(lambda: "status" in nodes.get("w1", {}))
        ready = {item["type"]: item["status"] for item in nodes["w1"]["status"]["conditions"]}
        assert ready == {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
        assert nodes["w1"]["metadata"]["labels"]["kubernetes.io/hostname"] == "w1"
        leases = world.api.objects["leases.coordination.k8s.io"]
        first = leases["kube-node-lease/w1"]["spec"]["renewTime"]
        await asyncio.sleep(25)
        assert leases["kube-node-lease/w1"]["spec"]["renewTime"] > first
        statuses = world.api.writes.count(("patch", "nodes"))
        await asyncio.sleep(200)
        assert world.api.writes.count(("patch", "nodes")) == statuses, "an unchanged status is not written"
        await asyncio.sleep(200)
        assert world.api.writes.count(("patch", "nodes")) == statuses + 1, "except every five minutes"
        world.api.drop("nodes", "w1")
        await world.until(lambda: "status" in nodes.get("w1", {}))

    scenario(tmp_path, play)


def test_a_pod_runs_and_is_deleted(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        before = world.api.writes.count(("patch", "pods"))
        world.create()
        took_s = await world.until(lambda: world.ready())
        assert took_s < 0.08
        assert world.api.writes.count(("patch", "pods")) - before == 1, "one status write for a quick start"
        assert world.status()["podIP"].startswith("10.0.0.")
        world.api.request_deletion("p", 5)
        await world.until(lambda: world.api.pod("p") is None)
        state = await world.driver.list()
        assert (list(state.sandboxes), list(state.containers)) == ([], [])
        reasons = [event["reason"] for event in world.api.events]
        assert reasons == ["Pulled", "Created", "Started", "Killing"]

    scenario(tmp_path, play)


def test_a_slow_start_says_so(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(rules={"start-latency-ms": "2000"})
        await world.until(lambda: bool(world.status().get("containerStatuses")), 1.5)
        assert world.only()["state"]["waiting"]["reason"] == "ContainerCreating"
        await world.until(lambda: world.ready())

    scenario(tmp_path, play)


def test_a_crash_loop_backs_off_as_documented(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(rules={"exit-code": "1", "run-seconds": "0.5"})
        begin, starts = world.clock.monotonic(), []
        while world.clock.monotonic() - begin < 900:
            count = (world.status().get("containerStatuses") or [{}])[0].get("restartCount", 0)
            if count > len(starts):
                starts.append(world.clock.monotonic() - begin)
            await asyncio.sleep(0.2)
        gaps = [round(later - sooner) for sooner, later in zip(starts, starts[1:], strict=False)]
        assert gaps[:5] == pytest.approx([10, 20, 40, 80, 160], abs=2)
        assert all(gap == pytest.approx(300, abs=2) for gap in gaps[5:])
        assert world.only()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert world.only()["lastState"]["terminated"]["exitCode"] == 1

    scenario(tmp_path, play)


def test_a_container_runs_once_its_post_start_hook_has_ended(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(container("web", lifecycle={"postStart": {"sleep": {"seconds": 30}}}))
        await asyncio.sleep(10)
        assert (world.status()["phase"], world.ready()) == ("Pending", False)
        assert world.only()["state"] == {"waiting": {"reason": "ContainerCreating"}}
        assert (world.only()["ready"], world.only()["started"]) == (False, False)
        assert 19 < await world.until(lambda: world.ready()) < 22
        assert world.status()["phase"] == "Running"

    scenario(tmp_path, play)


def test_what_cannot_be_started_backs_off_too(tmp_path: Path) -> None:
    """A command that is not there, say: each attempt is an instance that ended before it began."""

    async def play(world: World) -> None:
        world.create(rules={"start-error": "no such command"})
        await asyncio.sleep(2)
        assert world.only()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        ended = world.only()["lastState"]["terminated"]
        assert (ended["reason"], ended["exitCode"], ended["message"]) == ("StartError", 128, "no such command")
        await asyncio.sleep(300)
        assert world.only()["restartCount"] == 5, "at once, then after 10, 20, 40 and 80 s"
        failed = next(event for event in world.api.events if event["reason"] == "Failed")
        assert (failed["message"], failed["involvedObject"]["fieldPath"]) == (
            "Error: no such command",
            "spec.containers{web}",
        )

    scenario(tmp_path, play)


@pytest.mark.parametrize("name", ["Not A Name", "web:a:b", "web@sha256:12", "a/B", "a" * 600, "web:-x"])
def test_what_is_no_name_of_an_image_is_called_so(tmp_path: Path, name: str) -> None:
    async def play(world: World) -> None:
        world.create(container("web", image=name))
        await world.until(lambda: bool(world.status().get("containerStatuses")))
        assert world.only()["state"]["waiting"]["reason"] == "InvalidImageName"
        assert {event["reason"] for event in world.api.events} >= {"InspectFailed", "Failed"}

    scenario(tmp_path, play)


@pytest.mark.parametrize(
    "name", ["web", "kubus.local/pause", "host:5000/a/b_c--d:v1.0", f"a@sha256:{'0' * 64}", "[::1]:5000/x", "A.io/x"]
)
def test_names_of_images(tmp_path: Path, name: str) -> None:
    async def play(world: World) -> None:
        world.create(container("web", image=name))
        await world.until(lambda: world.ready())

    scenario(tmp_path, play)


def test_an_image_that_can_not_be_had_is_tried_again(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(container("web", image="nowhere.invalid/a:1"))
        await world.until(lambda: "waiting" in (world.status().get("containerStatuses") or [{"state": {}}])[0]["state"])
        assert world.only()["state"]["waiting"]["reason"] == "ErrImagePull"
        await world.until(lambda: world.only()["state"]["waiting"]["reason"] == "ImagePullBackOff", 5)
        fixed = world.api.pod("p")
        assert fixed is not None
        fixed["spec"]["containers"][0]["image"] = "there:1"
        world.api.put("pods", fixed)
        assert await world.until(lambda: world.ready()) < 1.0, "a new image is tried at once"

    scenario(tmp_path, play)


def test_init_containers_and_sidecars_in_order(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        inits = (container("first"), container("proxy", restartPolicy="Always"), container("second"))
        world.create(container("web"), inits=inits, restartPolicy="Never", rules={"container.web.run-seconds": "3"})
        await world.until(lambda: world.ready())
        started = [event["message"] for event in world.api.events if event["reason"] == "Started"]
        assert started == [f"Started container {name}" for name in ("first", "proxy", "second", "web")]
        await world.until(lambda: world.status()["phase"] == "Succeeded")
        proxy = next(item for item in world.status()["initContainerStatuses"] if item["name"] == "proxy")
        assert "terminated" in proxy["state"]

    scenario(tmp_path, play)


def test_a_deadline(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(activeDeadlineSeconds=30)
        await world.until(lambda: world.ready())
        await world.until(lambda: world.status()["phase"] == "Failed")
        assert world.status()["reason"] == "DeadlineExceeded"
        assert not (await world.driver.list()).sandboxes[0].ready
        told = [event for event in world.api.events if event["reason"] == "DeadlineExceeded"]
        await world.kill()
        await world.start()
        await asyncio.sleep(5)
        again = [event for event in world.api.events if event["reason"] == "DeadlineExceeded"]
        assert len(told) == len(again) == 1, "what has ended has not ended again for the next kubelet"

    scenario(tmp_path, play)


def test_a_shorter_grace_takes_effect_at_once(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(rules={"stop-seconds": "1000"}, terminationGracePeriodSeconds=600)
        await world.until(lambda: world.ready())
        world.api.request_deletion("p", 600)
        await asyncio.sleep(5)
        assert world.api.pod("p") is not None
        world.api.request_deletion("p", 1)
        assert await world.until(lambda: world.api.pod("p") is None) < 3

    scenario(tmp_path, play)


def test_a_forced_deletion_leaves_nothing(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create()
        await world.until(lambda: world.ready())
        world.api.drop("pods", "default/p")
        world.create()
        await world.until(lambda: world.ready())
        await asyncio.sleep(40)
        assert len((await world.driver.list()).sandboxes) == 1

    scenario(tmp_path, play)


def test_a_restarted_kubelet_adopts_what_runs_and_ends_what_nobody_wants(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        for name in ("kept", "dropped"):
            world.create(name=name)
            await world.until(lambda name=name: world.ready(name))
        identity, writes = world.only("kept")["containerID"], len(world.api.writes)
        await world.kill()
        world.api.drop("pods", "default/dropped")
        await world.start()
        await asyncio.sleep(40)
        assert world.only("kept")["containerID"] == identity
        assert world.only("kept")["restartCount"] == 0
        assert [item.pod_name for item in (await world.driver.list()).sandboxes] == ["kept"]
        assert ("patch", "pods") not in world.api.writes[writes:], "a status that is true is not written again"

    scenario(tmp_path, play)


def test_containers_go_on_while_the_api_is_away(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(rules={"run-seconds": "5"})
        await world.until(lambda: world.ready())
        world.api.away(True)
        await asyncio.sleep(600)
        containers = (await world.driver.list()).containers
        assert max(item.attempt for item in containers) >= 5, "restarted by policy"
        world.api.away(False)
        await world.until(lambda: world.only()["restartCount"] >= 5, 30)

    scenario(tmp_path, play)


@pytest.mark.parametrize("seed", range(30))
def test_killed_anywhere_it_goes_on(tmp_path: Path, seed: int) -> None:
    """Kill the kubelet again and again while pods come and go; then let it live: what runs is what is wanted."""

    async def play(world: World) -> None:
        rng = random.Random(seed)
        await world.start()
        alive: set[str] = set()
        for number in range(12):
            name = f"p{number}"
            world.create(container("web"), container("side"), inits=(container("init"),), name=name)
            alive.add(name)
            await asyncio.sleep(rng.uniform(0, 0.3))
            if rng.random() < 0.5:
                gone = rng.choice(sorted(alive))
                alive.discard(gone)
                if rng.random() < 0.3:
                    world.api.drop("pods", f"default/{gone}")
                else:
                    world.api.request_deletion(gone, rng.choice((0, 1)))
            if rng.random() < 0.6:
                await world.kill()
                await asyncio.sleep(rng.uniform(0, 0.1))
                await world.start()
        await world.until(lambda: all(world.ready(name) for name in alive), 120)
        await world.until(lambda: len(world.api.objects["pods"]) == len(alive), 120)
        await asyncio.sleep(60)
        state = await world.driver.list()
        ready = sorted(item.pod_name for item in state.sandboxes if item.ready)
        assert ready == sorted(alive)
        running = sorted((item.pod_name, item.name) for item in state.containers if item.state.value == "running")
        wanted = sorted((name, part) for name in alive for part in ("web", "side"))
        assert running == wanted, (running, wanted, state.containers)
        assert {item.pod_name for item in state.containers} == alive

    scenario(tmp_path, play, started=False)


def test_a_node_that_runs_out_of_memory_evicts_who_uses_most(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        requests = {"resources": {"requests": {"memory": "60Gi"}}}
        world.create(container("c", **requests), name="modest")
        world.create(name="greedy", rules={"memory": "4090Mi"})
        await world.until(lambda: world.ready("modest") and world.ready("greedy"))
        await world.until(lambda: world.status("greedy").get("phase") == "Failed")
        assert world.status("greedy")["reason"] == "Evicted"
        assert "low on resource: memory" in world.status("greedy")["message"]
        assert world.ready("modest")
        await world.until(lambda: _condition(world, "MemoryPressure") == "True")
        world.create(name="late")
        await world.until(lambda: world.status("late").get("phase") == "Failed")
        assert world.status("late")["reason"] == "Evicted"
        await world.until(lambda: _condition(world, "MemoryPressure") == "False", 400)

    scenario(tmp_path, play)


def test_a_pod_that_does_not_fit_is_refused_and_one_that_was_taken_in_stays(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(container("c", resources={"requests": {"cpu": "20"}}), name="first")
        await world.until(lambda: world.ready("first"))
        world.create(container("c", resources={"requests": {"cpu": "20"}}), name="second")
        await world.until(lambda: world.status("second").get("phase") == "Failed")
        assert world.status("second")["reason"] == "OutOfcpu"
        await world.kill()
        await world.start()
        await asyncio.sleep(5)
        assert world.ready("first")

    scenario(tmp_path, play)


def _condition(world: World, kind: str) -> str:
    conditions = world.api.objects["nodes"]["w1"]["status"]["conditions"]
    return str(next(item["status"] for item in conditions if item["type"] == kind))


def test_a_critical_pod_gets_the_room_of_others(tmp_path: Path) -> None:
    def asks(cpu: str, **fields: Any) -> dict[str, Any]:
        return container(resources={"requests": {"cpu": cpu, "memory": "1Mi"}, **fields})

    async def play(world: World) -> None:
        world.create(asks("20", limits={"cpu": "20", "memory": "1Mi"}), name="sure")
        world.create(asks("6"), name="small", rules={"stop-seconds": "3"})
        world.create(asks("5"), name="smaller")
        await world.until(lambda: all(world.ready(name) for name in ("sure", "small", "smaller")))
        world.create(asks("7"), name="plain")
        await world.until(lambda: world.status("plain").get("reason") == "OutOfcpu")
        world.create(asks("7"), name="critical", priority=2_000_000_000)
        begin = world.clock.monotonic()
        await world.until(lambda: world.ready("critical"))
        assert world.clock.monotonic() - begin > 3, "the other has its grace"
        assert (world.status("small")["phase"], world.status("small")["reason"]) == ("Failed", "Preempting")
        conditions = {item["type"]: item for item in world.status("small")["conditions"]}
        assert conditions["DisruptionTarget"]["reason"] == "TerminationByKubelet"
        assert world.ready("smaller")
        assert world.ready("sure")
        world.create(asks("400"), name="huge", priority=2_000_000_000)
        await world.until(lambda: world.status("huge").get("reason") == "OutOfcpu")
        assert world.ready("sure"), "nobody leaves for who can't be taken in all the same"

    scenario(tmp_path, play)


def test_a_graceful_end_of_the_node_ends_its_pods_and_tells(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(name="plain", rules={"stop-seconds": "3"})
        world.create(name="critical", priority=2_000_000_000)
        await world.until(lambda: world.ready("plain") and world.ready("critical"))
        assert world.node is not None
        begin = world.clock.monotonic()
        stopping = asyncio.ensure_future(world.node.stop())
        await world.until(lambda: world.status("plain").get("phase") == "Failed")
        assert world.status("plain")["reason"] == "Terminated"
        await stopping
        assert world.status("critical")["reason"] == "Terminated"
        assert 3.0 <= world.clock.monotonic() - begin < 12.0
        world.create(name="late")
        await world.until(lambda: world.status("late").get("reason") == "NodeShutdown")

    scenario(tmp_path, play, shutdown_grace_period_s=10.0, shutdown_grace_period_critical_pods_s=4.0)


def test_a_node_that_shuts_down_ends_pods_by_their_priority(tmp_path: Path) -> None:
    groups = [PriorityGrace(100, 2.0), PriorityGrace(0, 5.0), PriorityGrace(1000, 3.0)]

    async def play(world: World) -> None:
        for name, priority in (("least", -5), ("low", 7), ("middle", 999), ("high", 5000)):
            world.create(name=name, priority=priority, rules={"stop-seconds": "60"})
        names = ("least", "low", "middle", "high")
        await world.until(lambda: all(world.ready(name) for name in names))
        assert world.node is not None
        stopping = asyncio.ensure_future(world.node.stop())
        ended: dict[str, float] = {}
        begin = world.clock.monotonic()

        def all_failed() -> bool:
            for name in names:
                if world.status(name).get("phase") == "Failed":
                    ended.setdefault(name, round(world.clock.monotonic() - begin))
            return len(ended) == len(names)

        await world.until(all_failed)
        assert ended == {"least": 5, "low": 5, "middle": 7, "high": 10}
        await stopping

    scenario(tmp_path, play, shutdown_grace_period_by_pod_priority=groups)
