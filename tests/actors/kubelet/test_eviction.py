"""When a node is under pressure, what it gives back, who goes, and who is not taken in."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from actors.api.config import KubeletConfig
from actors.kubelet.admission import Place, refusal
from actors.kubelet.eviction.eviction import ENDING_LIMIT_S, Eviction
from actors.kubelet.eviction.garbage import Limits, bytes_to_free, dead_sandboxes, is_removable
from actors.kubelet.eviction.local_storage import excess, is_limited
from actors.kubelet.eviction.pressure import Pressure
from actors.kubelet.eviction.ranking import message, ranked
from actors.kubelet.eviction.thresholds import MEMORY, NODE_FS, PIDS, Amount, Threshold, signals_of, thresholds_of
from actors.kubelet.runtime import Image
from actors.kubelet.stats.usage import ContainerUsage, Disk, NodeUsage, PodUsage, Sample, Usage
from actors.kubelet.status.pod_status import Ending, Facts, status_of
from runtime.clock import ManualClock

from .pods import NOW_S, container, pod, runtime, sandbox

GIB = 1 << 30


def named(name: str, memory: str = "", priority: int = 0, **spec: Any) -> dict[str, Any]:
    resources = {"resources": {"requests": {"memory": memory}}} if memory else {}
    made = pod(container("c", **resources), priority=priority, **spec)
    made["metadata"] |= {"name": name, "uid": name}
    return made


def usage(name: str, memory_bytes: int = 0, disk_bytes: int = 0, pids: int = 0) -> PodUsage:
    inside = ContainerUsage("c", f"{name}-c", Usage(0, memory_bytes), rootfs_bytes=disk_bytes)
    return PodUsage(name, "default", name, Usage(0, memory_bytes, processes=pids), (inside,))


# -- thresholds


def test_thresholds_of_a_config() -> None:
    assert {item.signal for item in thresholds_of(KubeletConfig())} >= {MEMORY, NODE_FS, PIDS}
    soft = KubeletConfig(eviction_hard={}, eviction_soft={MEMORY: "1Gi"}, eviction_soft_grace_period_s={MEMORY: 60})
    assert thresholds_of(soft) == (Threshold(MEMORY, "1Gi", 60),)
    with pytest.raises(ValueError, match="eviction signal 'memory'"):
        thresholds_of(KubeletConfig(eviction_hard={"memory": "1"}))


def test_absolute_and_relative() -> None:
    assert Threshold(MEMORY, "100Mi").is_met(Amount(99 << 20, GIB))
    assert not Threshold(MEMORY, "100Mi").is_met(Amount(100 << 20, GIB))
    assert Threshold(NODE_FS, "10%").is_met(Amount(9, 100))
    assert Threshold(NODE_FS, "10%", reclaim="5%").is_met(Amount(14, 100), with_reclaim=True)


def test_signals() -> None:
    node = NodeUsage(Usage(processes=50), 1, 2, Disk(10, 5, 100, 7), max_pids=60)
    found = signals_of(node, Disk(20, 3))
    assert found[PIDS] == Amount(10, 60)
    assert found["imagefs.available"] == Amount(3, 20)
    assert "imagefs.inodesFree" not in found
    assert NODE_FS not in signals_of(NodeUsage(), None), "what is not measured signals nothing"


# -- one at a time


class Victim:
    """A worker that ends when the test says so."""

    def __init__(self, name: str):
        self.pod, self.uid, self.is_ending, self.has_ended = named(name), name, False, False

    def end(self, ending: Ending) -> None:
        self.is_ending = True


class Starved:
    """A sampler of a node that is out of process ids."""

    def sample(self) -> Sample:
        used = (usage("bomb", pids=90), usage("calm", pids=1))
        return Sample(0.0, NodeUsage(Usage(processes=99), max_pids=100), used)


def starved(victims: tuple[Victim, ...], clock: ManualClock) -> Eviction:
    config = KubeletConfig(eviction_hard={PIDS: "10%"})
    unused: Any = None  # but for disks
    log = structlog.get_logger()

    def ignore(*_: str) -> None:
        pass

    workers: Any = lambda: victims  # noqa: E731
    sampler: Any = Starved()
    return Eviction(config, workers, sampler, unused, unused, unused, Path(), ignore, ignore, clock, log)


def test_the_next_pod_is_taken_when_the_last_has_ended() -> None:
    bomb, calm = victims = Victim("bomb"), Victim("calm")
    clock = ManualClock()
    eviction = starved(victims, clock)
    assert asyncio.run(eviction.look()) and bomb.is_ending and not calm.is_ending
    assert asyncio.run(eviction.look()) and not calm.is_ending, "what the first one takes is not free yet"
    bomb.has_ended = True
    assert asyncio.run(eviction.look()) and calm.is_ending
    assert eviction.conditions == {"PIDPressure"}
    assert eviction.evictions == {PIDS: 2}


def test_a_pod_that_does_not_end_holds_up_the_next_for_a_while() -> None:
    bomb, calm = victims = Victim("bomb"), Victim("calm")
    clock = ManualClock()
    eviction = starved(victims, clock)
    asyncio.run(eviction.look())
    clock.advance(ENDING_LIMIT_S)
    assert asyncio.run(eviction.look()) and not calm.is_ending
    clock.advance(2.0)
    assert asyncio.run(eviction.look()) and calm.is_ending


# -- pressure


def test_a_condition_outlasts_its_signal() -> None:
    pressure = Pressure((Threshold(MEMORY, "10"),), transition_s=300)
    low, well = {MEMORY: Amount(5, 100)}, {MEMORY: Amount(50, 100)}
    verdict = pressure.look(low, 0.0)
    assert (verdict.conditions, verdict.due) == ({"MemoryPressure"}, Threshold(MEMORY, "10"))
    verdict = pressure.look(well, 299.0)
    assert (verdict.conditions, verdict.due) == ({"MemoryPressure"}, None)
    assert pressure.look(well, 301.0).conditions == set()


def test_a_soft_threshold_waits_for_its_grace_without_a_break() -> None:
    pressure = Pressure((Threshold(MEMORY, "10", grace_s=30),), transition_s=0)
    low, well = {MEMORY: Amount(5, 100)}, {MEMORY: Amount(50, 100)}
    assert pressure.look(low, 0.0).due is None
    assert pressure.look(well, 20.0).due is None
    assert pressure.look(low, 25.0).due is None
    assert pressure.look(low, 54.0).due is None
    assert pressure.look(low, 55.0).due is not None


def test_memory_comes_first() -> None:
    disk, memory = Threshold(NODE_FS, "10%"), Threshold(MEMORY, "10%")
    verdict = Pressure((disk, memory), 0).look({NODE_FS: Amount(1, 100), MEMORY: Amount(1, 100)}, 0.0)
    assert verdict.due == memory
    assert verdict.conditions == {"DiskPressure", "MemoryPressure"}


# -- ranking


def test_the_order_of_pods() -> None:
    within = named("within", "1Gi")
    over = named("over", "1Mi")
    far_over = named("far-over", "1Mi")
    important = named("important", priority=1000)
    critical = named("critical", priority=2_000_001_000)
    usages = {name: usage(name, amount) for name, amount in
              (("within", GIB // 2), ("over", 20 << 20), ("far-over", 60 << 20), ("important", 90 << 20),
               ("critical", GIB))}  # fmt: skip
    order = ranked([within, over, far_over, important, critical], usages, "memory")
    assert [item["metadata"]["name"] for item in order] == ["far-over", "over", "important", "within"]
    pids = {"over": usage("over", pids=5), "far-over": usage("far-over", pids=500)}
    assert ranked([over, far_over], pids, "pids")[0] is far_over


def test_what_users_are_told() -> None:
    text = message(Threshold(MEMORY, "100Mi"), Amount(80 << 20, GIB), named("p"), usage("p", 60 << 20))
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
        "Container c was using 60Mi, request is 0, has larger consumption of memory. "
    )


def test_an_evicted_pod_fails_and_is_a_disruption() -> None:
    ending = Ending("Evicted", "The node was low", 1.0, is_disruption=True)
    status = status_of(pod(), runtime(), {}, Facts(NOW_S, ending=ending, finished=True))
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
    conditions = {item["type"]: item for item in status["conditions"]}
    assert conditions["DisruptionTarget"]["reason"] == "TerminationByKubelet"


# -- limits of pods


def test_limits_of_local_storage() -> None:
    limited = pod(container("c", resources={"limits": {"ephemeral-storage": "10Mi"}}))
    assert is_limited(limited)
    assert not is_limited(pod())
    broken = excess(limited, usage("p", disk_bytes=11 << 20))
    assert broken is not None and broken.signal == "ephemeralpodfs.limit"
    assert "exceeds the total limit" in broken.message
    assert excess(limited, usage("p", disk_bytes=9 << 20)) is None
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
    full = PodUsage("p", "default", "p", Usage(), volumes={"v": 2 << 20})
    broken = excess(pod(volumes=volumes), full)
    assert broken is not None and broken.signal == "emptydirfs.limit"
    assert 'EmptyDir volume "v" exceeds the limit "1Mi"' in broken.message
    memory = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}}]
    assert not is_limited(pod(volumes=memory)), "the kernel bounds those"


# -- garbage


def test_how_much_images_give_back() -> None:
    limits = Limits(85, 80)
    assert bytes_to_free(Disk(100, 20), limits) == 0
    assert bytes_to_free(Disk(100, 10), limits) == 10
    assert bytes_to_free(Disk(), limits) == 0


def test_images_that_stay() -> None:
    free = Image("a", ("docker.io/library/a:1",), (), 1)
    assert is_removable(free, {"b"})
    assert not is_removable(free, {"a"})
    assert not is_removable(Image("k", ("kubus.local/toolbox:latest",), (), 1), set())
    assert not is_removable(Image("p", (), (), 1, pinned=True), set())


def test_sandboxes_that_were_followed_by_another() -> None:
    old, new = sandbox(0, ready=False), sandbox(1)
    assert dead_sandboxes(runtime(sandboxes=(old, new))) == ["s0"]
    assert dead_sandboxes(runtime(sandboxes=(old,))) == []


# -- taking in


def reason(item: dict[str, Any], **place: Any) -> str:
    found = refusal(item, Place(**place))
    return found.reason if found is not None else ""


ROOM = {"cpu": "1", "memory": "1Gi", "pods": "2"}


def test_what_does_not_fit() -> None:
    def big(cpu: str) -> dict[str, Any]:
        made = pod(container("c", resources={"requests": {"cpu": cpu}}))
        made["metadata"]["uid"] = cpu
        return made

    assert reason(big("500m"), allocatable=ROOM) == ""
    assert reason(big("2"), allocatable=ROOM) == "OutOfcpu"
    assert reason(big("600m"), allocatable=ROOM, others=[big("500m")]) == "OutOfcpu"
    assert reason(named("c"), allocatable=ROOM, others=[named("a"), named("b")]) == "OutOfpods"
    gpu = pod(container("c", resources={"limits": {"example.com/gpu": "1"}}))
    assert reason(gpu, allocatable=ROOM) == "OutOfexample.com/gpu"
    found = refusal(big("2"), Place(allocatable=ROOM))
    assert found is not None
    assert found.message == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 0, capacity: 1000"
    )


def test_what_belongs_elsewhere() -> None:
    node = {"metadata": {"name": "w1", "labels": {"disk": "ssd"}}}
    assert reason(pod(nodeSelector={"disk": "ssd"}), node=node) == ""
    assert reason(pod(nodeSelector={"disk": "hdd"}), node=node) == "NodeAffinity"


def test_ports_that_are_taken() -> None:
    def listening(name: str, port: int) -> dict[str, Any]:
        made = pod(container("c", ports=[{"containerPort": 80, "hostPort": port}]))
        made["metadata"]["uid"] = name
        return made

    assert reason(listening("a", 80), others=[listening("b", 80)]) == "NodePorts"
    assert reason(listening("a", 80), others=[listening("b", 81)]) == ""


def test_under_pressure() -> None:
    memory, disk = frozenset({"MemoryPressure"}), frozenset({"DiskPressure"})
    assert reason(pod(), conditions=memory) == "Evicted"
    assert reason(named("p", "1Mi"), conditions=memory) == ""
    assert reason(named("p", "1Mi"), conditions=disk) == "Evicted"
    assert reason(named("p", priority=2_000_000_000), conditions=disk) == ""
    tolerant = pod(tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}])
    assert reason(tolerant, conditions=memory) == ""


def test_apparmor_that_is_not_there() -> None:
    confined = pod(securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})
    assert reason(confined, has_apparmor=False) == "AppArmor"
    assert reason(confined) == ""
