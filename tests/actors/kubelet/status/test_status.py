"""status_of: what kubectl is going to show for a pod in each phase of its life."""

import dataclasses
from typing import Any

import pytest

from actors.kubelet.compute import Health
from actors.kubelet.status.container_status import Waiting
from actors.kubelet.status.pod_status import Ending, Facts, status_of
from tests.actors.kubelet.pods import NOW_S, container, instance, pod, runtime, sandbox

WEB, SIDE, INIT = container("web"), container("side"), container("init")
PROXY = container("proxy", restartPolicy="Always")
READY_WEB = container("web", readinessProbe={"tcpSocket": {"port": 80}})
NONE = runtime(sandboxes=())


def status(spec, observed, previous: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    facts.setdefault("host_ips", ("192.0.2.1",))
    return status_of(spec, observed, previous or {}, Facts(NOW_S, runtime_name="containerd", **facts))


def conditions(made: dict[str, Any]) -> str:
    letters = {"PodReadyToStartContainers": "S", "Initialized": "I", "Ready": "R", "ContainersReady": "C"}
    return "".join(letters[item["type"]] for item in made["conditions"] if item["status"] == "True")


def exited(of, code=0, **how):
    return instance(of, "exited", exit_code=code, **how)


PHASES = {
    "nothing yet": (pod(WEB), NONE, {}, "Pending", "I"),
    "sandbox only": (pod(WEB), runtime(), {}, "Pending", "SI"),
    "init waits": (pod(WEB, inits=(INIT,)), runtime(), {}, "Pending", "S"),
    "init runs": (pod(WEB, inits=(INIT,)), runtime(instance(INIT)), {}, "Pending", "S"),
    "init failed, tried again": (pod(WEB, inits=(INIT,)), runtime(exited(INIT, 1)), {}, "Pending", "S"),
    "init failed for good": (
        pod(WEB, inits=(INIT,), restartPolicy="Never"),
        runtime(exited(INIT, 1)),
        {},
        "Failed",
        "",
    ),
    "one of two runs": (pod(WEB, SIDE), runtime(instance(WEB)), {}, "Pending", "SI"),
    "all run": (pod(WEB, SIDE), runtime(instance(WEB), instance(SIDE)), {}, "Running", "SIRC"),
    "unready by probe": (pod(READY_WEB), runtime(instance(READY_WEB)), {}, "Running", "SI"),
    "crashed, comes back": (pod(WEB), runtime(exited(WEB, 1)), {}, "Running", "SI"),
    "Never, all ended well": (pod(WEB, restartPolicy="Never"), runtime(exited(WEB)), {}, "Succeeded", "I"),
    "Never, ended badly": (pod(WEB, restartPolicy="Never"), runtime(exited(WEB, 3)), {}, "Failed", "I"),
    "Never, one of two ended": (
        pod(WEB, SIDE, restartPolicy="Never"),
        runtime(exited(WEB, 3), instance(SIDE)),
        {},
        "Running",
        "SI",
    ),
    "OnFailure, failed": (pod(WEB, restartPolicy="OnFailure"), runtime(exited(WEB, 3)), {}, "Running", "SI"),
    "ended, but a sidecar still runs": (
        pod(WEB, inits=(PROXY,), restartPolicy="Never"),
        runtime(instance(PROXY), exited(WEB)),
        {"phase": "Running"},
        "Running",
        "SI",
    ),
    "a terminal phase stays": (pod(WEB), runtime(exited(WEB)), {"phase": "Failed"}, "Failed", "I"),
    "deleted while it ran: killed": (pod(WEB), runtime(exited(WEB, 137)), {"phase": "Running"}, "Running", "SI"),
}


@pytest.mark.parametrize("case", PHASES.values(), ids=PHASES.keys())
def test_phases(case) -> None:
    spec, observed, previous, phase, held = case
    made = status(spec, observed, previous)
    assert (made["phase"], conditions(made)) == (phase, held)


def test_a_running_pod_in_full() -> None:
    made = status(pod(WEB), runtime(instance(WEB)))
    assert made["podIP"] == "10.0.0.2"
    assert made["podIPs"] == [{"ip": "10.0.0.2"}]
    assert made["hostIP"] == "192.0.2.1"
    assert made["startTime"] == "2023-11-14T22:13:20Z"
    assert made["qosClass"] == "BestEffort"
    assert made["observedGeneration"] == 1
    assert made["containerStatuses"] == [
        {
            "name": "web",
            "state": {"running": {"startedAt": "2023-11-14T22:13:18Z"}},
            "lastState": {},
            "ready": True,
            "started": True,
            "restartCount": 0,
            "image": "web:1",
            "imageID": "sha256:web",
            "containerID": "containerd://web-0",
        }
    ]


def test_times_of_transitions_are_kept() -> None:
    old = {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    previous = {"phase": "Running", "startTime": "2020-01-01T00:00:00Z", "conditions": [old]}
    ready = {item["type"]: item for item in status(pod(WEB), runtime(instance(WEB)), previous)["conditions"]}
    assert ready["Ready"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    unready = {item["type"]: item for item in status(pod(WEB), runtime(exited(WEB, 1)), previous)["conditions"]}
    assert unready["Ready"]["lastTransitionTime"] == "2023-11-14T22:13:20Z"
    assert unready["Ready"]["reason"] == "ContainersNotReady"
    assert unready["Ready"]["message"] == "containers with unready status: [web]"


def test_a_crash_loop_shows_what_it_waits_for_and_how_it_ended() -> None:
    waiting = {"web": Waiting("CrashLoopBackOff", "back-off 10s restarting failed container")}
    made = status(pod(WEB), runtime(exited(WEB, 1, attempt=2)), waiting=waiting)
    only = made["containerStatuses"][0]
    assert only["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert only["lastState"]["terminated"]["exitCode"] == 1
    assert only["restartCount"] == 2
    assert made["phase"] == "Running"


def test_an_image_that_can_not_be_had() -> None:
    made = status(pod(WEB), runtime(), waiting={"web": Waiting("ImagePullBackOff", "Back-off pulling image")})
    assert made["phase"] == "Pending"
    assert made["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    }


def test_the_last_state_comes_from_the_runtime_or_from_before() -> None:
    now = instance(WEB, attempt=1)
    both = status(pod(WEB), runtime(now, exited(WEB, 7)))["containerStatuses"][0]
    assert both["lastState"]["terminated"]["exitCode"] == 7
    ended = {"exitCode": 9, "containerID": "containerd://web-0"}
    previous = {"containerStatuses": [{"name": "web", "state": {"terminated": ended}, "restartCount": 0}]}
    kept = status(pod(WEB), runtime(now), previous)["containerStatuses"][0]
    assert kept["lastState"] == {"terminated": ended}
    assert kept["restartCount"] == 1


def test_a_container_that_vanished_is_said_to_be_unknown() -> None:
    before = {"name": "web", "state": {"running": {}}, "restartCount": 1, "containerID": "containerd://x"}
    previous = {"phase": "Running", "containerStatuses": [before]}
    coming_back = status(pod(WEB), NONE, previous)
    assert coming_back["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert coming_back["phase"] == "Running"
    over = status(pod(WEB, restartPolicy="Never"), NONE, previous, finished=True)
    assert over["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    assert over["phase"] == "Failed"


def test_a_pod_that_ends_before_it_began_says_so() -> None:
    """A refused one says nothing of its containers, so that kubectl shows the reason; what never started is unknown."""
    refused = Ending("SysctlForbidden", "Pod was rejected: no")
    made = status(pod(WEB), NONE, ending=refused)
    assert (made["phase"], made["reason"], made.get("containerStatuses")) == ("Failed", "SysctlForbidden", None)
    assert status(pod(WEB), NONE, made, ending=refused, finished=True).get("containerStatuses") is None
    begun = status(pod(WEB), NONE)
    late = status(pod(WEB), NONE, begun, ending=Ending("Evicted", "no room"), finished=True)
    assert late["containerStatuses"][0]["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    waits = pod(WEB, initContainers=[container("init")])
    made = status(waits, NONE, status(waits, NONE), ending=Ending("Evicted", "no room"), finished=True)
    assert made["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_a_deadline_ends_a_pod() -> None:
    made = status(pod(WEB), runtime(exited(WEB, 137)), ending=Ending("DeadlineExceeded", "too long"), finished=True)
    assert (made["phase"], made["reason"]) == ("Failed", "DeadlineExceeded")


def test_readiness_gates_hold_a_pod_back() -> None:
    spec = pod(WEB, readinessGates=[{"conditionType": "lb"}])
    assert conditions(status(spec, runtime(instance(WEB)))) == "SIC"
    spec["status"]["conditions"] = [{"type": "lb", "status": "True"}]
    assert conditions(status(spec, runtime(instance(WEB)))) == "SIRC"


def test_probes_decide_readiness() -> None:
    unready = {"web-0": Health(ready=False)}
    made = status(pod(READY_WEB), runtime(instance(READY_WEB)), healths=unready)
    assert made["containerStatuses"][0]["ready"] is False
    made = status(pod(READY_WEB), runtime(instance(READY_WEB)), healths={"web-0": Health()})
    assert made["containerStatuses"][0]["ready"] is True


def test_a_pod_on_the_host_network_has_the_nodes_address() -> None:
    made = status(pod(WEB, hostNetwork=True), runtime(instance(WEB), sandboxes=(sandbox(ips=()),)))
    assert made["podIP"] == "192.0.2.1"


def test_an_ended_pod_keeps_its_last_address() -> None:
    previous = {"phase": "Running", "podIPs": [{"ip": "10.0.0.9"}], "podIP": "10.0.0.9"}
    over = status(pod(WEB), runtime(exited(WEB), sandboxes=(sandbox(ready=False, ips=()),)), previous, finished=True)
    assert over["podIP"] == "10.0.0.9"


def test_how_volumes_are_mounted_and_whom_a_process_runs_as() -> None:
    mounts = [
        {"name": "a", "mountPath": "/a"},
        {"name": "b", "mountPath": "/b", "readOnly": True},
        {"name": "c", "mountPath": "/c", "readOnly": True, "recursiveReadOnly": "IfPossible"},
    ]
    mounting = container("a", volumeMounts=mounts)
    running = runtime(dataclasses.replace(instance(mounting), user=(1000, 3000, (2000,))))
    for possible, mode in ((True, "Enabled"), (False, "Disabled")):
        (said,) = status(pod(mounting), running, recursive_readonly=possible)["containerStatuses"]
        assert said["volumeMounts"] == [
            {"name": "a", "mountPath": "/a"},
            {"name": "b", "mountPath": "/b", "readOnly": True, "recursiveReadOnly": "Disabled"},
            {"name": "c", "mountPath": "/c", "readOnly": True, "recursiveReadOnly": mode},
        ]
        assert said["user"] == {"linux": {"uid": 1000, "gid": 3000, "supplementalGroups": [2000]}}
