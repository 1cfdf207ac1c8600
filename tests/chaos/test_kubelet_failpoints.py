"""The kubelet dies at each of its effects, by seed: no container is lost, runs twice or is left behind; no mount stays.

A seed chooses a failpoint, how often it is passed before it strikes, and a second one while pods are deleted. With
KUBUS_KUBELET_KILLS more seeds run than the few of every run; KUBUS_SEED names the first, to repeat a failure. A seed
answers only for itself: what a failed one before it left is cleared away, and not held against it.

What is promised, and so counted here: each container that shall run once has its first line run once, whenever the
kubelet dies, for containerd ends a start that it was asked for. (Only a machine or a containerd that dies in the middle
of a start may make it run a second time; never two at a time.)
"""

import json
import os
import random
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.kubelet.containerd.places import places_of
from tests.cluster import Cluster, eventually
from tests.conformance.access import Api
from tests.conformance.pods import Space, container, has_ended, is_ready, pod, secret, space_of, with_volumes

pytestmark = [pytest.mark.real, pytest.mark.chaos, pytest.mark.timeout(900)]

SEEDS = int(os.environ.get("KUBUS_KUBELET_KILLS", "8"))
FIRST_SEED = int(os.environ.get("KUBUS_SEED", "0")) or random.randrange(1_000_000)
KILLS_A_MINUTE = 9  # with more than ten, the supervisor takes the kubelet for hopeless, and waits for half a minute
STARTING = (
    "kubelet.files-made", "kubelet.tmpfs-mounted", "kubelet.subpath-mounted", "kubelet.sandbox-made",
    "kubelet.container-made", "kubelet.status-written", "containerd.RunPodSandbox", "containerd.RunPodSandbox.done",
    "containerd.CreateContainer", "containerd.CreateContainer.done", "containerd.StartContainer",
    "containerd.StartContainer.done", "containerd.ContainerStatus.done", "containerd.RemoveContainer.done",
)  # fmt: skip
ENDING = (
    "kubelet.pod-ended", "kubelet.pod-removed", "kubelet.unmounted", "kubelet.volumes-removed",
    "kubelet.status-written", "containerd.StopContainer", "containerd.StopContainer.done", "containerd.StopPodSandbox",
    "containerd.StopPodSandbox.done", "containerd.RemovePodSandbox", "containerd.RemovePodSandbox.done",
    "containerd.RemoveContainer",
)  # fmt: skip


class Kubelet:
    """The victim: arms failpoints, and knows whether they struck."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.kills: deque[float] = deque()

    @property
    def pid(self) -> int:
        return int(self.cluster.actor("kubelet@w1")["pid"])

    def arm(self, name: str, skip: int) -> int:
        """Have the kubelet die at a failpoint; returns its pid."""
        while self.kills and self.kills[0] < time.monotonic() - 60:
            self.kills.popleft()
        if len(self.kills) >= KILLS_A_MINUTE:
            oldest = self.kills[0]
            eventually(lambda: time.monotonic() - oldest > 60, "the supervisor forgets the oldest crash", 70)
        eventually(lambda: self.cluster.actor("kubelet@w1")["health"] == "serving", "the kubelet serves")
        pid = self.pid
        self._failpoint(name, "crash", skip)
        return pid

    def struck(self, pid: int, name: str) -> bool:
        """Tell whether the failpoint was passed; it is disarmed if not."""
        if self.pid == pid:
            self._failpoint(name, "off", 0)
            return False
        self.kills.append(time.monotonic())
        return True

    def _failpoint(self, name: str, action: str, skip: int) -> None:
        request = json.dumps({"name": name, "action": action, "skip": skip})
        self.cluster.kubus("call", "kubelet@w1", "control.failpoint", request)


def pods_of(seed: int, marks: Path) -> dict[str, dict[str, Any]]:
    """Return pods of every sort, whose containers write a line each time that they start."""
    write = f"echo $$ >> /marks/{seed}-"
    stay = "; trap 'exit 0' TERM; sleep 1000000 & wait"
    host = {"/marks": {"hostPath": {"path": str(marks)}}}
    made, volumes = with_volumes(
        container(write + "server" + stay), host | {"/secret": {"secret": {"secretName": "s"}}}
    )
    init, _ = with_volumes(container(write + "init", "init"), host)
    server = pod(made, name=f"server-{seed}", restartPolicy="Always", volumes=volumes, initContainers=[init])
    made, volumes = with_volumes(container(write + "once; sleep 0.2"), host)
    once = pod(made, name=f"once-{seed}", volumes=volumes)
    made, volumes = with_volumes(
        container(write + "memory" + stay), host | {"/memory": {"emptyDir": {"medium": "Memory"}}}
    )
    made["volumeMounts"][1]["subPath"] = "deep/down"
    memory = pod(made, name=f"memory-{seed}", volumes=volumes, restartPolicy="OnFailure")
    return {item["metadata"]["name"]: item for item in (server, once, memory)}


def starts(marks: Path, seed: int) -> dict[str, int]:
    """Return how often each container of a seed has started."""
    found = {path.name.split("-")[1]: len(path.read_text().splitlines()) for path in marks.glob(f"{seed}-*")}
    return {name: found.get(name, 0) for name in ("init", "server", "once", "memory")}


def left_behind(cluster: Cluster, uids: list[str]) -> list[str]:
    """Return what a node without pods still has of them."""
    places = places_of(cluster.data_dir, "w1")
    node = cluster.data_dir / "nodes" / "w1"
    ctr = ["ctr", "-a", str(places.socket), "-n", "k8s.io"]
    found = [f"container {line}" for line in _lines([*ctr, "containers", "ls", "-q"])]
    found += [f"snapshot {line}" for line in _lines([*ctr, "snapshots", "ls"]) if line.split()[-1] == "Active"]
    mounts = (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    found += [f"mount {point}" for point in mounts if point.startswith(str(node))]
    found += [f"file {path}" for folder in ("pods", "logs/pods") for path in (node / folder).glob("*")]
    addresses = (path for path in places.cni_addresses.rglob("*") if path.is_file() and path.name[:1].isdigit())
    found += [f"address {path.name}" for path in addresses]
    links = json.loads(_output(cluster.inside(["ip", "-j", "link", "show", "type", "veth"])) or "[]")
    found += [f"link {link['ifname']}" for link in links if link]
    groups = _lines(["find", "/sys/fs/cgroup", "-type", "d", "-path", f"*kubus-{places.instance}*"])
    found += [f"cgroup {group}" for group in groups if any(uid in group for uid in uids)]
    for process in psutil.process_iter(["cmdline"]):
        if (
            "containerd-shim" in " ".join(process.info["cmdline"] or [])
            and str(places.socket) in process.info["cmdline"]
        ):
            found.append(f"shim {process.pid}")
    return found


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


def _lines(command: list[str]) -> list[str]:
    return [line for line in _output(command).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def place(own_real_cluster: Cluster):
    with space_of(Api(own_real_cluster), "kills") as space:
        space.create("secrets", secret("s", {"k": "v"}))
        yield space


@pytest.fixture(scope="module")
def kubelet(own_real_cluster: Cluster) -> Kubelet:
    return Kubelet(own_real_cluster)


@pytest.fixture
def left_before(own_real_cluster: Cluster, place: Space):
    """What a failed seed before this one left for good. Pods of this one go, however it ends."""
    yield set(left_behind(own_real_cluster, []))
    for left in place.list("pods"):
        place.delete("pods", left["metadata"]["name"], grace_s=0)
    eventually(lambda: not place.list("pods"), "the pods of a failed seed are gone")


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_a_kubelet_that_dies_leaves_nothing_undone(
    seed: int, own_real_cluster: Cluster, place: Space, kubelet: Kubelet, left_before: set[str], tmp_path: Path
):
    dice = random.Random(seed)
    first, skip_first = dice.choice(STARTING), dice.randrange(4)
    second, skip_second = dice.choice(ENDING), dice.randrange(3)
    print(f"seed {seed}: {first} after {skip_first}, {second} after {skip_second}")
    tmp_path.chmod(0o777)

    pid = kubelet.arm(first, skip_first)
    pods = pods_of(seed, tmp_path)
    for made in pods.values():
        place.start(made)
    uids = [place.get("pods", name)["metadata"]["uid"] for name in pods]
    for name in pods:
        place.when(name, has_ended if name.startswith("once") else is_ready, f"it is as it shall be (seed {seed})", 40)
    kubelet.struck(pid, first)
    assert starts(tmp_path, seed) == {"init": 1, "server": 1, "once": 1, "memory": 1}
    assert place.get("pods", f"once-{seed}")["status"]["phase"] == "Succeeded"

    pid = kubelet.arm(second, skip_second)
    for name in pods:
        place.delete("pods", name)
    for name in pods:
        place.gone(name, 40)
    kubelet.struck(pid, second)
    assert starts(tmp_path, seed) == {"init": 1, "server": 1, "once": 1, "memory": 1}

    def nothing_is_left() -> bool:
        assert set(left_behind(own_real_cluster, uids)) - left_before == set()
        return True

    eventually(nothing_is_left, f"nothing is left behind (seed {seed})", 40)
