"""The doctor's judgement on imagined machines."""

import dataclasses
import json

import pytest

from actors.cluster.doctor import CAP_SYS_RESOURCE, Verdict, can_run_containers, evaluate, table
from actors.cluster.install import NEEDS, complaint, packages_of, sentence
from actors.cluster.machine_facts import KERNEL_FEATURES, Facts, gather
from actors.kubelet.containerd.handlers import Finding

HEALTHY = Facts(
    kernel=(6, 1),
    capabilities=frozenset(range(41)),
    kernel_features=dict.fromkeys(KERNEL_FEATURES, True),
    cgroup_controllers=frozenset({"cpu", "memory", "pids", "io"}),
    programs={need.name: True for need in NEEDS},
    versions={"containerd": "containerd containerd.io 1.7.27 05044ec"},
    crun=Finding("/usr/bin/crun", "crun"),
    free_bytes=50 << 30,
    memory_bytes=8 << 30,
    data_dir="/var/lib/kubus",
)


def verdicts(**changes) -> dict[str, Verdict]:
    checks = evaluate(dataclasses.replace(HEALTHY, **changes))
    return {check.name: check.verdict for check in checks if check.verdict is not Verdict.OK}


def test_a_healthy_machine():
    assert verdicts() == {}
    assert can_run_containers(evaluate(HEALTHY))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"root": False}, {"root": Verdict.MISSING}),
        ({"kernel": (4, 19)}, {"kernel": Verdict.DEGRADED}),
        ({"capabilities": frozenset(range(41)) - {CAP_SYS_RESOURCE}}, {"CAP_SYS_RESOURCE": Verdict.DEGRADED}),
        ({"capabilities": frozenset({CAP_SYS_RESOURCE})}, {"capabilities": Verdict.MISSING}),
        ({"kernel_features": {**HEALTHY.kernel_features, "veth": False}}, {"veth": Verdict.MISSING}),
        ({"cgroup_version": 0}, {"cgroups": Verdict.MISSING}),
        ({"cgroup_controllers": frozenset({"cpu"})}, {"cgroups": Verdict.DEGRADED}),
        ({"versions": {"containerd": "containerd 1.5.9"}}, {"containerd version": Verdict.MISSING}),
        ({"crun": Finding(fault="crun is not installed")}, {"runtime handler": Verdict.DEGRADED}),
        ({"forward_policy_drop": True}, {"forwarding": Verdict.DEGRADED}),
        ({"free_bytes": 1 << 20}, {"disk": Verdict.DEGRADED}),
        ({"memory_bytes": 1 << 20}, {"memory": Verdict.DEGRADED}),
        ({"process_limit": 100}, {"process limit": Verdict.DEGRADED}),
        ({"ports_taken": [6443]}, {"ports": Verdict.MISSING}),
    ],
)
def test_one_thing_wrong_is_one_check(changes, found):
    assert verdicts(**changes) == found


def test_a_missing_program_comes_with_its_cure():
    programs = {**HEALTHY.programs, "runc": False, "a static busybox": False}
    checks = {check.name: check for check in evaluate(dataclasses.replace(HEALTHY, programs=programs))}
    assert checks["runc"].verdict is Verdict.MISSING
    assert checks["runc"].cure == "apt-get install runc"
    assert checks["a static busybox"].verdict is Verdict.DEGRADED


def test_every_bad_check_has_a_cure():
    bad = Facts(root=False, cgroup_version=0, ports_taken=[1], forward_policy_drop=True, process_limit=1)
    for check in evaluate(bad):
        assert check.why
        assert check.cure or check.verdict is Verdict.OK, check.name


def test_another_system_gets_one_answer():
    checks = evaluate(Facts(system="Darwin"))
    assert [check.verdict for check in checks] == [Verdict.MISSING]
    assert "simulated" in checks[0].cure


def test_it_can_be_printed_and_serialized():
    checks = evaluate(HEALTHY)
    assert all(len(row) == 4 for row in table(checks))
    assert json.loads(json.dumps([check.to_json() for check in checks]))[0]["verdict"] == "ok"


def test_this_machine_can_be_looked_at(tmp_path):
    facts = gather(tmp_path / "not" / "there", [("127.0.0.1", 0)])
    assert facts.free_bytes > 0
    assert facts.ports_taken == []
    assert evaluate(facts)


def test_the_line_about_what_is_missing():
    needs = [need for need in NEEDS if need.package in ("containerd", "runc")]
    assert packages_of(needs) == ["containerd", "runc"]
    line = sentence(needs, root=True, apt=True)
    assert "\n" not in line
    assert "kubus up --install-missing" in line
    assert "apt-get install containerd runc" in line
    assert sentence(needs, root=False, apt=True).count("sudo") == 2
    assert "--install-missing" not in sentence(needs, root=True, apt=False)
    assert "root" in sentence([], root=False, apt=True)
    assert sentence([], root=True, apt=True) == ""


def test_apts_own_word_is_passed_on():
    assert complaint("Reading...\n", "W: x\nE: Unable to locate package foo\n") == "E: Unable to locate package foo"
    assert complaint("last line\n", "") == "last line"
    assert complaint("", "") == "no reason given"
