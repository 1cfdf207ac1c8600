"""How pods end, and what keeps them from ending, on real containerd: readiness and probes meanwhile, preStop hooks of
sidecars, stop signals, processes beneath a container that are killed.

Source: Kubernetes' e2e tests of probes, container lifecycles and sidecars that are no part of its conformance profile.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster import Cluster, eventually
from tests.conformance.access import Api, Object
from tests.conformance.pods import (
    SLEEP,
    Space,
    condition_of,
    container,
    is_ready,
    pod,
    restarts,
    script,
    space_of,
    status_of,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def space(real_cluster: Cluster) -> Iterator[Space]:
    with space_of(Api(real_cluster), "endings") as made:
        yield made


def told(space: Space, name: str, reason: str) -> list[str]:
    events = (item for item in space.list("events") if item["involvedObject"]["name"] == name)
    return [item["message"] for item in events if item["reason"] == reason]


def test_a_pod_that_ends_says_whether_it_still_serves(space: Space) -> None:
    """Readiness probes go on while a pod terminates; liveness and startup probes have no say any more."""
    ending = "trap 'rm /ready; sleep 5; exit 0' TERM; touch /ready; while :; do sleep 0.1; done"
    probe = {"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 1, "failureThreshold": 1}
    probes = {"readinessProbe": probe, "livenessProbe": {**probe, "terminationGracePeriodSeconds": 1}}
    name = space.start(pod(container(ending, **probes), name="unready", terminationGracePeriodSeconds=30))
    space.ready(name)
    space.delete("pods", name)
    found = space.when(name, lambda found: condition_of(found, "Ready") == "False", "it no longer serves", 4)
    assert found["metadata"]["deletionTimestamp"]
    assert "running" in status_of(found)["state"]
    seen: Object = {}

    def ended() -> bool:
        if space.has("pods", name):
            seen.update(space.get("pods", name))
        return not space.has("pods", name)

    eventually(ended, "it has ended by itself", 20)
    assert all("failed liveness probe" not in text for text in told(space, name, "Killing"))
    assert status_of(seen)["state"].get("terminated", {"exitCode": 0})["exitCode"] == 0


def test_hooks_of_sidecars_run_at_once_and_sidecars_end_last(space: Space) -> None:
    """Sidecars are terminated in the reverse of their order, after the others; their preStop hooks wait for nobody."""
    mount = {"volumeMounts": [{"name": "log", "mountPath": "/log"}]}

    def one(name: str, **fields: object) -> Object:
        says = f"trap 'echo {name} ends >> /log/all; exit 0' TERM; while :; do sleep 0.05; done"
        hook = {"preStop": {"exec": {"command": ["sh", "-c", f"echo {name} hook >> /log/all"]}}}
        return container(says, name, lifecycle=hook, **mount, **fields)

    lasting = container("trap 'sleep 1; echo c ends >> /log/all; exit 0' TERM; while :; do sleep 0.05; done", **mount)
    sidecars = [one(name, restartPolicy="Always") for name in ("a", "b")]
    folder = {"name": "log", "hostPath": {"path": "/var/tmp/kubus-endings", "type": "DirectoryOrCreate"}}
    name = space.start(pod(lasting, initContainers=sidecars, volumes=[folder], terminationGracePeriodSeconds=20))
    path = Path("/var/tmp/kubus-endings/all")
    try:
        space.ready(name)
        space.remove(name)
        lines = path.read_text().split("\n")[:-1]
        assert sorted(lines[:2]) == ["a hook", "b hook"]
        assert lines[2:] == ["c ends", "b ends", "a ends"]
    finally:
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def test_a_container_is_ended_by_the_signal_that_it_names(space: Space) -> None:
    says = "trap 'echo bye > /dev/termination-log; exit 3' USR1; trap '' TERM; while :; do sleep 0.05; done"
    made = pod(container(says, lifecycle={"stopSignal": "SIGUSR1"}), os={"name": "linux"})
    made["spec"] |= {"terminationGracePeriodSeconds": 20, "activeDeadlineSeconds": 3}
    name = space.start(made)
    assert status_of(space.ready(name))["stopSignal"] == "SIGUSR1"
    found = space.ended(name, 15)  # by its deadline, so that it can be looked at afterwards
    assert status_of(found)["state"]["terminated"]["exitCode"] == 3
    assert status_of(found)["state"]["terminated"]["message"] == "bye\n"


def test_a_probe_that_nobody_can_ask_kills_nobody(space: Space) -> None:
    """Neither a command that is not there nor a port without a number says anything of a container's health."""
    every = {"periodSeconds": 1, "failureThreshold": 1}
    missing, nameless = {"exec": {"command": ["/no/such"]}, **every}, {"tcpSocket": {"port": "http"}, **every}
    name = space.start(pod(container(SLEEP, livenessProbe=missing), container(SLEEP, "d", livenessProbe=nameless)))
    unknown = "Liveness probe errored and resulted in unknown state: "
    eventually(lambda: len({text for text in told(space, name, "Unhealthy") if unknown in text}) == 2, "both are told")
    found = space.get("pods", name)
    assert (is_ready(found), restarts(found), restarts(found, "d")) == (True, 0, 0)


def test_devices_that_nobody_prepares_are_not_done_without(space: Space) -> None:
    made = script(SLEEP, name="claims")
    made["spec"] |= {"resourceClaims": [{"name": "g", "resourceClaimName": "none"}], "nodeName": "w1"}
    space.start(made)
    eventually(lambda: "resourceClaims" in "".join(told(space, "claims", "FailedCreatePodSandBox")), "it says so")
    assert space.get("pods", "claims")["status"]["phase"] == "Pending"
    space.remove("claims")


def _beneath(found: Object, command: str) -> list[psutil.Process]:
    """Return the processes of a pod that run a command, by its cgroup; or the shims that look after one of those."""
    uid = found["metadata"]["uid"]
    inside = [item for item in psutil.process_iter() if uid in _cgroups(item.pid)]
    if command == "shim":
        inside = list({parent for item in inside for parent in _parents(item)})
    return [item for item in inside if command in _name(item)]


def _parents(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.parents()
    return []


def _name(process: psutil.Process) -> str:
    """Return what a process is called; nothing for one that is gone, whoever has to reap it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    return ""


def _cgroups(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize("what", ["pause", "shim"])
def test_what_holds_a_pod_together_is_killed(space: Space, what: str) -> None:
    """All containers of the pod start again, in a sandbox of their own, with another address, and the API says so."""
    name = space.start(pod(container(SLEEP), container(SLEEP, "d"), restartPolicy="Always"))
    before = space.ready(name)
    victims = _beneath(before, what)
    assert len(victims) == 1, victims
    os.kill(victims[0].pid, signal.SIGKILL)

    def is_another(found: Object) -> bool:
        each = [status_of(found, of) for of in ("c", "d")]
        again = all(item["restartCount"] == 1 and item["lastState"].get("terminated") for item in each)
        return again and is_ready(found) and found["status"].get("podIP") != before["status"]["podIP"]

    space.when(name, is_another, "it runs again")
    assert told(space, name, "SandboxChanged")
    assert len(_beneath(space.get("pods", name), "pause")) == 1
    space.remove(name)
    assert _beneath(before, "pause") == []


def test_a_pod_s_bounds_have_room_for_its_sidecars(space: Space) -> None:
    """The pod's own limit is the sum of all that run at once, and what a container has of its pod if it has none."""
    limit = {"resources": {"limits": {"memory": "32Mi", "cpu": "50m"}}}
    show = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"
    level = {"resources": {"requests": {"memory": "16Mi"}, "limits": {"memory": "48Mi"}}}
    whole = script(show, name="whole")
    whole["spec"] |= level
    assert space.run(whole).strip() == str(48 << 20)
    side = container(SLEEP, "side", restartPolicy="Always", **limit)
    fill = "dd if=/dev/zero of=/m/x bs=1M count=24 2>/dev/null; sleep 0.3; echo fits"
    mount = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    memory = [{"name": "m", "emptyDir": {"medium": "Memory"}}]
    hungry = {**side, "command": ["sh", "-c", f"{fill}; sleep 1000000 & wait"], **mount}
    both = pod(container(fill, **limit, volumeMounts=[{"name": "n", "mountPath": "/m"}]), initContainers=[hungry])
    both["spec"]["volumes"] = [*memory, {**memory[0], "name": "n"}]
    assert space.run(both) == "fits\n"
