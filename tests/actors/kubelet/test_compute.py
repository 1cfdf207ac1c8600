"""compute_pod_actions, as a table: a pod, what the runtime has, and what is to be done."""

import dataclasses

import pytest

from actors.kubelet.backoff import Backoff
from actors.kubelet.compute import Health, PodActions, backoff_key, compute_pod_actions

from .pods import NOW_S, container, instance, pod, runtime, sandbox

WEB, SIDE = container("web"), container("side")
INIT1, INIT2 = container("init1"), container("init2")
PROXY = container("proxy", restartPolicy="Always")
PROBED_PROXY = container("proxy", restartPolicy="Always", startupProbe={"tcpSocket": {"port": 1}})


def decide(spec, observed, healths=None, backoff=None) -> PodActions:
    return compute_pod_actions(spec, observed, healths or {}, backoff or Backoff(), NOW_S)


def summary(actions: PodActions) -> str:
    """Render actions as one readable line."""
    words = []
    if actions.kill_pod:
        words.append("kill-pod")
    if actions.create_sandbox:
        words.append(f"sandbox/{actions.sandbox_attempt}")
    words += [f"kill:{item.container_id}" for item in actions.kill]
    words += [f"remove:{item}" for item in actions.remove]
    for item in actions.start:
        words.append(f"start:{item.name}/{item.restart_count}" + (f"={item.adopts}" if item.adopts else ""))
    words += [f"hold:{name}@{due - NOW_S:+.0f}" for name, due in actions.back_off.items()]
    if actions.finished:
        words.append("finished")
    return " ".join(words)


def exited(of, code=0, **how):
    return instance(of, "exited", exit_code=code, **how)


def given_up(of):
    """A container that containerd says has ended, although it never ran: its state is "created" again."""
    return dataclasses.replace(instance(of, "created"), finished_ns=1)


NONE = runtime(sandboxes=())
DEAD = (sandbox(ready=False),)

CASES = {
    "a new pod gets a sandbox and all its containers": (pod(WEB, SIDE), NONE, "sandbox/0 start:web/0 start:side/0"),
    "a new pod with init containers begins with the first": (
        pod(WEB, inits=(INIT1, INIT2)),
        NONE,
        "sandbox/0 start:init1/0",
    ),
    "all running: nothing to do": (pod(WEB, SIDE), runtime(instance(WEB), instance(SIDE)), ""),
    "one exited is restarted, the other left alone": (
        pod(WEB, SIDE),
        runtime(exited(WEB, 1), instance(SIDE)),
        "start:web/1",
    ),
    "Always restarts what succeeded": (pod(WEB), runtime(exited(WEB)), "start:web/1"),
    "OnFailure restarts what failed": (pod(WEB, restartPolicy="OnFailure"), runtime(exited(WEB, 2)), "start:web/1"),
    "OnFailure ends with success": (pod(WEB, restartPolicy="OnFailure"), runtime(exited(WEB)), "finished"),
    "Never ends with failure": (pod(WEB, restartPolicy="Never"), runtime(exited(WEB, 1)), "finished"),
    "Never waits for the other container": (
        pod(WEB, SIDE, restartPolicy="Never"),
        runtime(exited(WEB, 1), instance(SIDE)),
        "",
    ),
    "a created but never started container is the one to start": (
        pod(WEB),
        runtime(instance(WEB, "created")),
        "start:web/0=web-0",
    ),
    "a created one of an older definition is replaced without a count": (
        pod(WEB),
        runtime(instance(WEB, "created", hashed="old")),
        "remove:web-0 start:web/0",
    ),
    "a created one of a lost sandbox is replaced without a count": (
        pod(WEB),
        runtime(instance(WEB, "created"), sandboxes=DEAD),
        "sandbox/1 remove:web-0 start:web/0",
    ),
    "one whose start was given up is replaced without a count": (
        pod(WEB),
        runtime(given_up(WEB)),
        "remove:web-0 start:web/0",
    ),
    "an unknown container is killed, then started": (
        pod(WEB),
        runtime(instance(WEB, "unknown")),
        "kill:web-0 start:web/1",
    ),
    "a changed image kills and starts": (pod(WEB), runtime(instance(WEB, hashed="old")), "kill:web-0 start:web/1"),
    "a changed image restarts also under Never": (
        pod(WEB, restartPolicy="Never"),
        runtime(instance(WEB, hashed="old")),
        "kill:web-0 start:web/1",
    ),
    "older dead instances are removed": (
        pod(WEB),
        runtime(instance(WEB, attempt=3), exited(WEB, attempt=2), exited(WEB, attempt=1), exited(WEB, attempt=0)),
        "remove:web-0 remove:web-1",
    ),
    "a dead sandbox is replaced with everything in it": (
        pod(WEB, SIDE),
        runtime(exited(WEB, 137), exited(SIDE, 137), sandboxes=DEAD),
        "sandbox/1 start:web/1 start:side/1",
    ),
    "a dead sandbox with a living container is killed first": (
        pod(WEB),
        runtime(instance(WEB), sandboxes=DEAD),
        "kill-pod sandbox/1 start:web/1",
    ),
    "a dead sandbox begins with init containers again": (
        pod(WEB, inits=(INIT1,)),
        runtime(exited(INIT1), exited(WEB, 137), sandboxes=DEAD),
        "sandbox/1 start:init1/1",
    ),
    "a dead sandbox under Never is the end": (
        pod(WEB, restartPolicy="Never"),
        runtime(exited(WEB, 137), sandboxes=DEAD),
        "finished",
    ),
    "a dead sandbox under OnFailure brings back only what failed": (
        pod(WEB, SIDE, restartPolicy="OnFailure"),
        runtime(exited(WEB), exited(SIDE, 137), sandboxes=DEAD),
        "sandbox/1 start:side/1",
    ),
    "a dead sandbox after success is the end": (
        pod(WEB, restartPolicy="OnFailure"),
        runtime(exited(WEB), sandboxes=DEAD),
        "finished",
    ),
    "a sandbox without address is replaced": (
        pod(WEB),
        runtime(sandboxes=(sandbox(ips=()),)),
        "kill-pod sandbox/1 start:web/0",
    ),
    "two living sandboxes are one too many": (
        pod(WEB),
        runtime(sandboxes=(sandbox(0), sandbox(1))),
        "kill-pod sandbox/2 start:web/0",
    ),
    "a running init container is waited for": (pod(WEB, inits=(INIT1,)), runtime(instance(INIT1)), ""),
    "the second init container follows the first": (
        pod(WEB, inits=(INIT1, INIT2)),
        runtime(exited(INIT1)),
        "start:init2/0",
    ),
    "after the last init container the others start": (
        pod(WEB, SIDE, inits=(INIT1,)),
        runtime(exited(INIT1)),
        "start:web/0 start:side/0",
    ),
    "a failed init container is tried again": (pod(WEB, inits=(INIT1,)), runtime(exited(INIT1, 1)), "start:init1/1"),
    "a failed init container under Never is the end": (
        pod(WEB, inits=(INIT1,), restartPolicy="Never"),
        runtime(exited(INIT1, 1)),
        "finished",
    ),
    "init containers are done once a regular one was made": (
        pod(WEB, inits=(INIT1,)),
        runtime(instance(WEB)),
        "",
    ),
    "a sidecar that runs lets the next one start": (
        pod(WEB, inits=(PROXY, INIT1)),
        runtime(instance(PROXY)),
        "start:init1/0",
    ),
    "a sidecar with a startup probe is waited for": (
        pod(WEB, inits=(PROBED_PROXY,)),
        runtime(instance(PROBED_PROXY)),
        "",
    ),
    "a sidecar is restarted while the pod runs": (
        pod(WEB, inits=(PROXY,)),
        runtime(exited(PROXY, 1), instance(WEB)),
        "start:proxy/1",
    ),
    "a sidecar does not keep a pod from ending": (
        pod(WEB, inits=(PROXY,), restartPolicy="OnFailure"),
        runtime(instance(PROXY), exited(WEB)),
        "finished",
    ),
    "a sidecar is restarted even under Never": (
        pod(WEB, inits=(PROXY,), restartPolicy="Never"),
        runtime(exited(PROXY), instance(WEB)),
        "start:proxy/1",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_decisions(case) -> None:
    spec, observed, expected = case
    assert summary(decide(spec, observed)) == expected


def test_a_failed_liveness_probe_restarts_with_the_probes_grace() -> None:
    failed = {"web-0": Health(failed="Liveness", ready=False, grace_s=3.0)}
    actions = decide(pod(WEB), runtime(instance(WEB)), failed)
    assert summary(actions) == "kill:web-0 start:web/1"
    assert actions.kill[0].grace_s == 3.0
    assert actions.kill[0].reason == "Container web failed liveness probe, will be restarted"


def test_a_failed_probe_under_never_kills_for_good() -> None:
    failed = {"web-0": Health(started=False, ready=False, failed="Startup")}
    actions = decide(pod(WEB, restartPolicy="Never"), runtime(instance(WEB)), failed)
    assert summary(actions) == "kill:web-0"


def test_a_crashing_container_waits_longer_each_time() -> None:
    spec, backoff = pod(WEB), Backoff()
    key = backoff_key(spec, "web")
    crash = runtime(exited(WEB, 1, ago_s=1))
    assert summary(decide(spec, crash, backoff=backoff)) == "start:web/1"
    backoff.started(key, NOW_S - 1, NOW_S)
    assert summary(decide(spec, crash, backoff=backoff)) == "hold:web@+9"
    backoff.started(key, NOW_S - 1, NOW_S)
    assert summary(decide(spec, crash, backoff=backoff)) == "hold:web@+19"
    for _ in range(10):
        backoff.started(key, NOW_S - 1, NOW_S)
    assert summary(decide(spec, crash, backoff=backoff)) == "hold:web@+299"


def test_ten_quiet_minutes_forget_the_backoff() -> None:
    spec, backoff = pod(WEB), Backoff()
    for _ in range(4):
        backoff.started(backoff_key(spec, "web"), NOW_S - 700, NOW_S - 700)
    assert summary(decide(spec, runtime(exited(WEB, 1, ago_s=1)), backoff=backoff)) == "start:web/1"


def test_a_new_image_does_not_wait() -> None:
    spec, backoff = pod(WEB), Backoff()
    backoff.started(backoff_key(spec, "web"), NOW_S - 1, NOW_S)
    renewed = pod(container("web", image="web:2"))
    assert summary(decide(renewed, runtime(exited(WEB, 1)), backoff=backoff)) == "start:web/1"


def test_the_count_survives_a_runtime_that_lost_its_records() -> None:
    spec = pod(WEB)
    spec["status"]["containerStatuses"] = [{"name": "web", "restartCount": 4, "containerID": "containerd://gone"}]
    assert summary(decide(spec, NONE)) == "sandbox/0 start:web/5"


def test_an_ephemeral_container_starts_once() -> None:
    debugger = container("debugger")
    spec = pod(WEB)
    spec["spec"]["ephemeralContainers"] = [debugger]
    assert summary(decide(spec, runtime(instance(WEB)))) == "start:debugger/0"
    assert summary(decide(spec, runtime(instance(WEB), exited(debugger)))) == ""
