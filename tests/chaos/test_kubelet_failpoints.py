"""The kubelet dies at each of its effects, by seed: no container is lost, runs twice or is left behind; no mount stays.

A seed chooses a failpoint, how often it is passed before it strikes, and a second one while pods are deleted. With
KUBUS_KUBELET_KILLS more seeds run than the few of every run; KUBUS_SEED names the first, to repeat a failure. A seed
answers only for itself: what a failed one before it left is cleared away, and not held against it.

What is promised, and so counted here: each container that shall run once has its first line run once, whenever the
kubelet dies, for containerd ends a start that it was asked for. (Only a machine or a containerd that dies in the middle
of a start may make it run a second time; never two at a time.)
"""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests import traces
from tests.chaos.control import Control, Victim
from tests.cluster import Cluster, eventually
from tests.conformance.access import Api
from tests.conformance.pods import IMAGE, Space, container, has_ended, is_ready, pod, secret, space_of, with_volumes

pytestmark = [pytest.mark.real, pytest.mark.chaos, pytest.mark.timeout(900)]

SEEDS = int(os.environ.get("KUBUS_KUBELET_KILLS", "8"))
FIRST_SEED = int(os.environ.get("KUBUS_SEED", "609434"))  # by default one whose followers have found something
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


def pods_of(seed: int, marks: Path) -> dict[str, dict[str, Any]]:
    """Return pods of every sort, whose containers write a line each time that they start."""
    write = f"echo $$ >> /marks/{seed}-"
    stay = "; trap 'exit 0' TERM; sleep 1000000 & wait"
    host = {"/marks": {"hostPath": {"path": str(marks)}}}
    more = {"/secret": {"secret": {"secretName": "s"}}, "/tools": {"image": {"reference": IMAGE}}}
    made, volumes = with_volumes(container(write + "server" + stay), host | more)
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


def left_behind(cluster: Cluster) -> list[str]:
    """Return what a node without pods still has of them."""
    return traces.of_pods(cluster.data_dir, "w1", cluster.inside([]))


@pytest.fixture(scope="module")
def place(own_real_cluster: Cluster):
    with space_of(Api(own_real_cluster), "kills") as space:
        space.create("secrets", secret("s", {"k": "v"}))
        yield space


@pytest.fixture(scope="module")
def kubelet(own_real_cluster: Cluster):
    control = Control(own_real_cluster)
    yield Victim(control, "kubelet@w1")
    control.close()


@pytest.fixture
def left_before(own_real_cluster: Cluster, place: Space):
    """What a failed seed before this one left for good. Pods of this one go, however it ends."""
    yield set(left_behind(own_real_cluster))
    for left in place.list("pods"):
        place.delete("pods", left["metadata"]["name"], grace_s=0)
    eventually(lambda: not place.list("pods"), "the pods of a failed seed are gone")


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_a_kubelet_that_dies_leaves_nothing_undone(
    seed: int, own_real_cluster: Cluster, place: Space, kubelet: Victim, left_before: set[str], tmp_path: Path
):
    dice = random.Random(seed)
    first, skip_first = dice.choice(STARTING), dice.randrange(4)
    second, skip_second = dice.choice(ENDING), dice.randrange(3)
    print(f"seed {seed}: {first} after {skip_first}, {second} after {skip_second}")
    tmp_path.chmod(0o777)
    pods_live_and_go(
        seed, own_real_cluster, place, kubelet, left_before, tmp_path, (first, skip_first), (second, skip_second)
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("kubelet.image-layers-held", "containerd.Remove"), ("kubelet.image-mounted", "containerd.Remove.done")],
)
def test_a_kubelet_that_dies_over_an_image_that_is_a_volume(
    first: str,
    second: str,
    own_real_cluster: Cluster,
    place: Space,
    kubelet: Victim,
    left_before: set[str],
    tmp_path: Path,
):
    tmp_path.chmod(0o777)
    assert pods_live_and_go(
        len(first), own_real_cluster, place, kubelet, left_before, tmp_path, (first, 0), (second, 0)
    )


def pods_live_and_go(
    seed: int,
    own_real_cluster: Cluster,
    place: Space,
    kubelet: Victim,
    left_before: set[str],
    tmp_path: Path,
    at_start: tuple[str, int],
    at_end: tuple[str, int],
) -> bool:
    """Start pods and remove them, with a kubelet that dies when it has passed a failpoint so often, both times.

    Returns whether it did die both times.
    """
    (first, skip_first), (second, skip_second) = at_start, at_end
    pid = kubelet.arm(first, skip_first)
    pods = pods_of(seed, tmp_path)
    for made in pods.values():
        place.start(made)
    for name in pods:
        place.when(name, has_ended if name.startswith("once") else is_ready, f"it is as it shall be (seed {seed})", 40)
    died = kubelet.struck(pid, first)
    assert starts(tmp_path, seed) == {"init": 1, "server": 1, "once": 1, "memory": 1}
    assert place.get("pods", f"once-{seed}")["status"]["phase"] == "Succeeded"
    assert {"file", "address", "mount", "cgroup", "shim"} <= {line.split()[0] for line in left_behind(own_real_cluster)}

    pid = kubelet.arm(second, skip_second)
    for name in pods:
        place.delete("pods", name)
    for name in pods:
        place.gone(name, 40)
    died = kubelet.struck(pid, second) and died
    assert starts(tmp_path, seed) == {"init": 1, "server": 1, "once": 1, "memory": 1}

    def nothing_is_left() -> bool:
        assert set(left_behind(own_real_cluster)) - left_before == set()
        return True

    eventually(nothing_is_left, f"nothing is left behind (seed {seed})", 40)
    return died
