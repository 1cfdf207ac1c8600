"""Restart policies of containers, and rules by exit code, in decisions and statuses."""

import dataclasses
from typing import Any

import pytest

from actors.kubelet.backoff import Backoff
from actors.kubelet.compute import compute_pod_actions
from actors.kubelet.restart_rules import may_restart, restarts
from actors.kubelet.runtime import ContainerStatus
from actors.kubelet.status.pod_status import Facts, status_of

from .pods import NOW_S, NS, container, instance, pod, runtime

RULES = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]


@pytest.mark.parametrize(
    ("policy", "own", "code", "expected"),
    [
        ("Always", None, 0, True),
        ("OnFailure", None, 0, False),
        ("OnFailure", None, 1, True),
        ("Never", None, 1, False),
        ("Never", "Always", 0, True),
        ("Always", "Never", 1, False),
        ("Never", "OnFailure", 1, True),
    ],
)
def test_a_container_s_own_policy_goes_first(policy: str, own: str | None, code: int, expected: bool) -> None:
    item = container(**({"restartPolicy": own} if own else {}))
    assert restarts(pod(item, restartPolicy=policy), item, code) is expected


def test_rules_by_exit_code() -> None:
    item = container(restartPolicy="Never", restartPolicyRules=RULES)
    assert restarts(pod(item), item, 42)
    assert not restarts(pod(item), item, 1)
    other = container(
        restartPolicy="Never",
        restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [1]}}],
    )
    assert restarts(pod(other), other, 2)
    assert not may_restart(pod(other), other)


def outcome(*ended: tuple[dict[str, Any], int], policy: str = "Never") -> tuple[list[str], bool, str]:
    """Return (what is started, finished, phase)."""
    whole = pod(*(item for item, _ in ended), restartPolicy=policy)
    state = runtime(*(instance(item, "exited", exit_code=code, ago_s=1000) for item, code in ended))
    actions = compute_pod_actions(whole, state, {}, Backoff(), NOW_S)
    status = status_of(whole, state, {}, Facts(NOW_S, finished=actions.finished))
    return [item.name for item in actions.start], actions.finished, status["phase"]


def test_decisions_and_phases_agree() -> None:
    again, once = container("again", restartPolicyRules=RULES, restartPolicy="Never"), container("once")
    assert outcome((again, 42), (once, 0)) == (["again"], False, "Running")
    assert outcome((again, 0), (once, 0)) == ([], True, "Succeeded")
    assert outcome((again, 1), (once, 0)) == ([], True, "Failed")
    never = container("never", restartPolicy="Never")
    assert outcome((never, 1), policy="Always") == ([], True, "Failed")


def test_an_init_container_may_fail_for_its_rules() -> None:
    init = container("init", restartPolicyRules=RULES, restartPolicy="Never")
    whole = pod(container("web"), inits=(init,), restartPolicy="Always")
    for code, finished in ((42, False), (1, True)):
        state = runtime(instance(init, "exited", exit_code=code, ago_s=1000))
        actions = compute_pod_actions(whole, state, {}, Backoff(), NOW_S)
        assert actions.finished is finished
        assert [item.name for item in actions.start] == ([] if finished else ["init"])


ALL = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]
INIT, PROXY, SIDE = container("init"), container("proxy", restartPolicy="Always"), container("side")
SOURCE = container("source", restartPolicy="Never", restartPolicyRules=ALL)
POD = pod(SOURCE, SIDE, inits=(INIT, PROXY), restartPolicy="Never")
ENDED = instance(SOURCE, "exited", exit_code=88, ago_s=100)


def made(of: dict[str, Any], state: str, ago_s: float, attempt: int = 0, ended_ago_s: float = 20) -> ContainerStatus:
    """An instance that was made so long ago."""
    status = instance(of, state, attempt=attempt, ago_s=ended_ago_s)
    created_ns = int((NOW_S - ago_s) * NS)
    return dataclasses.replace(status, container=dataclasses.replace(status.container, created_ns=created_ns))


OLD_INIT, OLD_PROXY, OLD_SIDE = made(INIT, "exited", 300), made(PROXY, "running", 250), made(SIDE, "running", 200)
ENDED_PROXY, ENDED_SIDE = made(PROXY, "exited", 250), made(SIDE, "exited", 200)
NEW_INIT, NEW_PROXY = made(INIT, "exited", 50, 1), made(PROXY, "running", 40, 1)


@pytest.mark.parametrize(
    ("there", "killed", "started"),
    [
        ((OLD_INIT, OLD_PROXY, OLD_SIDE), ["proxy", "side"], []),
        ((OLD_INIT, ENDED_PROXY, OLD_SIDE), ["side"], []),
        ((OLD_INIT, ENDED_PROXY, ENDED_SIDE), [], ["init/1"]),
        ((made(INIT, "running", 50, 1), ENDED_PROXY, ENDED_SIDE), [], []),
        ((NEW_INIT, ENDED_PROXY, ENDED_SIDE), [], ["proxy/1"]),
        ((NEW_INIT, NEW_PROXY, ENDED_SIDE), [], ["source/1", "side/1"]),
        ((NEW_INIT, NEW_PROXY, made(SIDE, "running", 30, 1), made(SOURCE, "running", 30, 1)), [], []),
    ],
)
def test_a_rule_restarts_all_containers(
    there: tuple[ContainerStatus, ...], killed: list[str], started: list[str]
) -> None:
    """Step by step, from whatever is found: what runs ends first, then init containers, sidecars and the rest."""
    state = runtime(ENDED, *there)
    actions = compute_pod_actions(POD, state, {}, Backoff(), NOW_S)
    assert sorted(item.name for item in actions.kill) == killed
    assert [f"{item.name}/{item.restart_count}" for item in actions.start] == started
    assert not actions.finished
    assert status_of(POD, state, {"phase": "Running"}, Facts(NOW_S))["phase"] == "Running"


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((OLD_INIT, OLD_PROXY, OLD_SIDE), ("False", "")),
        ((ENDED, OLD_INIT, OLD_PROXY, OLD_SIDE), ("True", "RestartAllContainersStarted")),
        ((ENDED, OLD_INIT, ENDED_PROXY, ENDED_SIDE), ("True", "RestartAllContainersStarted")),
        ((ENDED, made(INIT, "running", 50, 1), ENDED_PROXY, ENDED_SIDE), ("False", "")),
    ],
)
def test_a_condition_tells_of_the_restart_until_it_begins(
    there: tuple[ContainerStatus, ...], expected: tuple[str, str]
) -> None:
    said = status_of(POD, runtime(*there), {"phase": "Running"}, Facts(NOW_S))["conditions"]
    (told,) = (item for item in said if item["type"] == "AllContainersRestarting")
    assert (told["status"], told.get("reason", "")) == expected
    plain = status_of(pod(SIDE), runtime(OLD_SIDE), {}, Facts(NOW_S))["conditions"]
    assert "AllContainersRestarting" not in {item["type"] for item in plain}


def test_a_container_that_ends_well_after_all_restarted_ends_the_pod() -> None:
    state = runtime(ENDED, NEW_INIT, NEW_PROXY, made(SIDE, "exited", 30, 1), made(SOURCE, "exited", 30, 1))
    assert compute_pod_actions(POD, state, {}, Backoff(), NOW_S).finished
