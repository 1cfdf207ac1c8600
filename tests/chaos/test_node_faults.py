"""What a node's pods go through without harm: containerd dies, the API server is away, the machine stops and starts.

Containers write a line into a file of the test each time that they start, so that each start is counted where nobody
can lose it. KUBUS_API_AWAY_S makes the API server stay away for longer than in every run. KUBUS_NODE_STORMS has more
seeds of the storm run, from KUBUS_SEED on.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from actors.api.network import bridge_name
from actors.cluster import purge
from actors.cluster.bringup import recorded_config
from actors.cluster.leftovers import survey
from actors.cluster.removal import Verb, execute
from actors.kubelet.containerd.places import places_of
from tests import traces
from tests.chaos.control import Control, processes_of
from tests.cluster import REAL_CONFIG, Cluster, eventually
from tests.conformance.access import Api, Object, enter
from tests.conformance.pods import (
    Space,
    container,
    has_ended,
    is_ready,
    pod,
    restarts,
    secret,
    space_of,
    status_of,
    with_volumes,
)
from tests.conftest import brought_up
from tests.real_tier import need_real

pytestmark = [pytest.mark.real, pytest.mark.chaos, pytest.mark.timeout(300)]

AWAY_S = float(os.environ.get("KUBUS_API_AWAY_S", "6"))
STORMS = range(int(os.environ.get("KUBUS_SEED", "3")), int(os.environ.get("KUBUS_SEED", "3")) + int(
    os.environ.get("KUBUS_NODE_STORMS", "1")))  # fmt: skip
STROKES = 30  # of a storm, each followed by up to 0.4 s of calm
KUBELET, CONTAINERD, API = "kubelet@w1", "containerd@w1", "apiserver@m1"
ON_DISK = "/var/lib/cni"  # libcni's records of what it made
STAY = "; trap 'exit 0' TERM; sleep 1000000 & wait"


class Marks:
    """Starts of containers, as they wrote them down."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.chmod(0o777)

    def pod(self, name: str, script: str = STAY, **spec: object) -> Object:
        """Return a pod whose container notes each start, and then runs a script."""
        sources = {
            "/marks": {"hostPath": {"path": str(self.folder)}},
            "/secret": {"secret": {"secretName": "s"}},
            "/memory": {"emptyDir": {"medium": "Memory"}},
        }
        made, volumes = with_volumes(container(f"echo $$ >> /marks/{name}{script}"), sources)
        return pod(made, name=name, volumes=volumes, **spec)

    def starts(self, name: str) -> int:
        path = self.folder / name
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture(scope="module")
def own_real_cluster() -> Iterator[Cluster]:
    """A cluster whose containers wait for seconds only, however often they were killed."""
    need_real()
    options = "lease_renew_s: 2, max_container_restart_period_s: 2"
    yield from brought_up(real=True, config=REAL_CONFIG.replace("lease_renew_s: 2", options))


@pytest.fixture(scope="module")
def control(own_real_cluster: Cluster):
    made = Control(own_real_cluster)
    yield made
    made.close()


@pytest.fixture(scope="module")
def space(own_real_cluster: Cluster):
    with space_of(Api(own_real_cluster), "faults") as made:
        made.create("secrets", secret("s", {"k": "v"}))
        yield made


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path)


@pytest.fixture(autouse=True)
def nothing_left(own_real_cluster: Cluster, space: Space, control: Control):
    """After each test its pods go, and leave nothing."""
    yield
    for left in space.list("pods"):
        space.delete("pods", left["metadata"]["name"])
    eventually(lambda: not space.list("pods"), "the pods are gone", 40)

    def clean() -> bool:
        assert traces.of_pods(own_real_cluster.data_dir, "w1", own_real_cluster.inside([])) == []
        assert traces.of_descriptors(control.actor(KUBELET).pid, own_real_cluster.data_dir, "w1") == []
        return True

    eventually(clean, "nothing is left of them", 40)


def container_id(found: Object) -> str:
    return str(status_of(found)["containerID"]).removeprefix("containerd://")


def kill_container(found: Object) -> None:
    """Kill the processes of a pod's container behind everybody's back."""
    for pid in processes_of(container_id(found)):
        with contextlib.suppress(ProcessLookupError):  # it went with the first process of its namespace
            os.kill(pid, signal.SIGKILL)


def test_containerd_dies_and_pods_go_on(own_real_cluster: Cluster, space: Space, control: Control, marks: Marks):
    count = "; i=0; while :; do i=$((i + 1)); echo line $i; sleep 0.1; done"
    calm_pod = marks.pod("calm", count, restartPolicy="Always")
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1}
    calm_pod["spec"]["containers"][0] |= {"livenessProbe": probe, "readinessProbe": probe}
    for made in (
        calm_pod,
        marks.pod("struck", restartPolicy="Always"),
        marks.pod("leaving"),
    ):
        space.start(made)
    calm, struck = space.ready("calm"), space.ready("struck")
    space.ready("leaving")
    with control.away(CONTAINERD):
        kill_container(struck)
        space.delete("pods", "leaving")
        space.start(marks.pod("late"))
        assert processes_of(container_id(calm)), "containers outlive containerd"
        told = lambda: [event["message"] for event in space.list("events") if event["reason"] == "Unhealthy"]  # noqa: E731
        eventually(lambda: any("probe errored" in text for text in told()), "probes that can't be asked are told of")
    space.gone("leaving")
    space.ready("late")
    space.when("struck", lambda found: restarts(found) == 1 and is_ready(found), "it was started again")
    assert container_id(space.ready("calm")) == container_id(calm)
    assert {name: marks.starts(name) for name in ("calm", "struck", "late")} == {"calm": 1, "struck": 2, "late": 1}
    said = len(space.log("calm").splitlines())
    text = space.read_until("calm", lambda text: len(text.splitlines()) > said + 3, "goes on")
    lines = text.splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert space.api.json("GET", "/api/v1/nodes/w1")["metadata"]["name"] == "w1"


def test_the_api_server_is_away(own_real_cluster: Cluster, space: Space, control: Control, marks: Marks):
    """Containers go on and start again by policy; the kubelet may even die: statuses catch up."""
    for made in (
        marks.pod("calm", restartPolicy="Always"),
        marks.pod("struck", restartPolicy="Always"),
        marks.pod("once", "; sleep 1; exit 3"),
    ):
        space.start(made)
    calm, struck = space.ready("calm"), space.ready("struck")
    kubelet = control.actor(KUBELET).pid
    begun = time.monotonic()
    with control.away(API):
        kill_container(struck)
        eventually(lambda: marks.starts("struck") == 2, "it is started again without the API")
        eventually(lambda: time.monotonic() - begun > AWAY_S, "the time is over", AWAY_S + 5)
        os.kill(kubelet, signal.SIGKILL)  # the next one is up before the API server is
        assert processes_of(container_id(calm)), "containers outlive the kubelet"
    space.when("struck", lambda found: restarts(found) == 1 and is_ready(found), "its status catches up")
    ended = space.when("once", has_ended, "its status catches up")
    assert (ended["status"]["phase"], status_of(ended)["state"]["terminated"]["exitCode"]) == ("Failed", 3)
    assert container_id(space.ready("calm")) == container_id(calm)
    assert {name: marks.starts(name) for name in ("calm", "struck", "once")} == {"calm": 1, "struck": 2, "once": 1}


def stop_machine(cluster: Cluster) -> None:
    """End all that ends with a machine: processes, mounts, devices, rules, cgroups. What is on the disk stays."""
    places = places_of(cluster.data_dir, "w1")
    status = cluster.status()
    pids = [status["supervisor"]["pid"], *(actor["pid"] for actor in status["actors"])]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended with its supervisor
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), "all have ended")
    config = recorded_config(cluster.data_dir)
    assert config is not None
    scope = purge.scope_of(cluster.data_dir, bridge_name(cluster.data_dir, config), places.instance)

    def end() -> list[str]:
        enter(cluster.namespace)
        actions = purge.plan(scope, survey(places.instance, [places]))
        lost = [action for action in actions if action.verb is not Verb.REMOVE_TREE]
        return execute([action for action in lost if not action.target.startswith(ON_DISK)])

    with ThreadPoolExecutor(1) as aside:
        assert aside.submit(end).result() == []


def test_the_machine_stops_and_starts(own_real_cluster: Cluster, space: Space, marks: Marks):
    keep = "; echo $$ > /memory/file" + STAY
    for made in (
        marks.pod("always", keep, restartPolicy="Always"),
        marks.pod("onfailure", restartPolicy="OnFailure"),
        marks.pod("never"),
        marks.pod("once", "", restartPolicy="OnFailure"),
    ):
        space.start(made)
    before = {name: space.ready(name) for name in ("always", "onfailure", "never")}
    assert space.ended("once")["status"]["phase"] == "Succeeded"
    stop_machine(own_real_cluster)
    own_real_cluster.up()
    for name in ("always", "onfailure"):
        again = space.when(name, lambda found: restarts(found) == 1 and is_ready(found), "it is back", 60)
        assert again["metadata"]["uid"] == before[name]["metadata"]["uid"]
        assert container_id(again) != container_id(before[name])
    assert space.when("never", has_ended, "it stays ended")["status"]["phase"] == "Failed"
    assert space.get("pods", "once")["status"]["phase"] == "Succeeded"
    found = {name: marks.starts(name) for name in ("always", "onfailure", "never", "once")}
    assert found == {"always": 2, "onfailure": 2, "never": 1, "once": 1}


def shims_of(cluster: Cluster) -> list[psutil.Process]:
    """Return the shims of a cluster's containerd."""
    found = psutil.process_iter(["cmdline"])
    address = str(places_of(cluster.data_dir, "w1").socket)
    return [each for each in found if address in (each.info["cmdline"] or ()) and "-id" in each.info["cmdline"]]


def strike(dice: random.Random, cluster: Cluster, control: Control, space: Space, marks: Marks, number: int) -> None:
    """Do one thing of a storm: pods come and go while what carries them is killed."""
    what = dice.choice(["make", "make", "make", "delete", "shim", "pause", KUBELET, CONTAINERD, "both", API])
    if what == "make":
        made = marks.pod(f"storm-{number}", restartPolicy=dice.choice(["Always", "OnFailure"]))
        if dice.random() < 0.3:
            made["spec"]["initContainers"] = [container("sleep 0.2", "init")]
        if dice.random() < 0.3:
            hooks = {"postStart": {"sleep": {"seconds": 0}}, "preStop": {"exec": {"command": ["sleep", "0.2"]}}}
            made["spec"]["containers"][0]["lifecycle"] = hooks
        space.start(made)
    elif what == "delete":
        there = [each["metadata"]["name"] for each in space.list("pods") if not has_ended(each)]
        if there:
            space.delete("pods", dice.choice(there), grace_s=dice.choice([None, 0]))
    elif what in ("shim", "pause"):
        shims = shims_of(cluster)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim = dice.choice(shims) if shims else None
            for each in (victim.children() if what == "pause" else [victim]) if victim else ():
                if what == "shim" or each.cmdline()[:1] == ["/pause"]:
                    each.kill()
    else:
        pids = [control.actor(name).pid for name in ((KUBELET, CONTAINERD) if what == "both" else (what,))]
        for pid in filter(None, pids):  # none while it is being started again
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", STORMS)
def test_a_storm(seed: int, own_real_cluster: Cluster, space: Space, control: Control, marks: Marks):
    """Whatever is killed in whichever order, pods come to rest as they shall be; `nothing_left` looks what stays."""
    dice = random.Random(seed)
    for number in range(STROKES):
        with contextlib.suppress(AssertionError, OSError):  # the API server was killed, and refuses or cuts off
            strike(dice, own_real_cluster, control, space, marks, number)
        time.sleep(dice.random() * 0.4)  # the storm's own pace, nothing is waited for

    def at_rest() -> bool:
        pods = space.list("pods")
        restless = [each["metadata"]["name"] for each in pods if not (is_ready(each) or has_ended(each))]
        assert restless == [], restless
        assert all(processes_of(container_id(each)) for each in pods if is_ready(each))
        ready = sum(is_ready(each) for each in pods)
        assert len(shims_of(own_real_cluster)) == ready, "a shim for each pod, and none twice"
        return True

    eventually(at_rest, f"all pods are as they shall be (seed {seed})", 120)
