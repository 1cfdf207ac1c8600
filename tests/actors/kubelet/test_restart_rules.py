"""Restart policies of containers, and rules by exit code, in decisions and statuses."""

from typing import Any

import pytest

from actors.kubelet.backoff import Backoff
from actors.kubelet.compute import compute_pod_actions
from actors.kubelet.restart_rules import may_restart, restarts
from actors.kubelet.status import Facts, status_of

from .pods import NOW_S, container, instance, pod, runtime

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
    made = pod(*(item for item, _ in ended), restartPolicy=policy)
    state = runtime(*(instance(item, "exited", exit_code=code, ago_s=1000) for item, code in ended))
    actions = compute_pod_actions(made, state, {}, Backoff(), NOW_S)
    status = status_of(made, state, {}, Facts(NOW_S, finished=actions.finished))
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
    made = pod(container("web"), inits=(init,), restartPolicy="Always")
    for code, finished in ((42, False), (1, True)):
        state = runtime(instance(init, "exited", exit_code=code, ago_s=1000))
        actions = compute_pod_actions(made, state, {}, Backoff(), NOW_S)
        assert actions.finished is finished
        assert [item.name for item in actions.start] == ([] if finished else ["init"])
