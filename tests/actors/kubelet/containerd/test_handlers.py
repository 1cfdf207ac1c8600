"""Which OCI runtime starts containers, on imagined machines."""

import tomllib
from pathlib import Path

import pytest

from actors.kubelet.containerd.config import Machine, render
from actors.kubelet.containerd.crun import controllers_of, in_words, is_shared, trial
from actors.kubelet.containerd.crun_script import Wants
from actors.kubelet.containerd.handlers import Finding, Handler, HandlerMissing, Handlers, choose, record, recorded
from actors.kubelet.containerd.places import Places

CRUN, RUNC = Handler("crun", "/usr/bin/crun"), Handler("runc")
WORKS = Finding("/usr/bin/crun", "crun")
FAILS = Finding(fault="crun is not installed")


@pytest.mark.parametrize(
    ("wanted", "found", "has_runc", "chosen", "why"),
    [
        ("", WORKS, True, (CRUN, RUNC), "crun"),
        ("", FAILS, True, (RUNC,), "runc, for crun is not installed"),
        ("", WORKS, False, (CRUN,), "crun"),
        ("runc", WORKS, True, (RUNC, CRUN), "runc, as the config says"),
        ("runc", FAILS, True, (RUNC,), "runc, as the config says"),
        ("crun", WORKS, True, (CRUN, RUNC), "crun, as the config says"),
    ],
)
def test_crun_is_the_default_where_it_works(wanted, found, has_runc, chosen, why):
    assert choose(wanted, lambda: found, lambda: has_runc) == Handlers(chosen, why)


@pytest.mark.parametrize(
    ("wanted", "found", "has_runc", "complaint"),
    [
        ("crun", FAILS, True, "runtime_handler is crun, but crun is not installed"),
        ("runc", WORKS, False, "runtime_handler is runc, but runc is not installed"),
        ("", FAILS, False, "runc is not installed, and crun is not installed"),
    ],
)
def test_what_can_not_be_had_is_refused(wanted, found, has_runc, complaint):
    with pytest.raises(HandlerMissing) as refused:
        choose(wanted, lambda: found, lambda: has_runc)
    assert str(refused.value) == complaint


def test_the_choice_is_known_to_the_kubelet(tmp_path):
    chosen = choose("", lambda: WORKS, lambda: True)
    record(tmp_path / "handlers.json", chosen)
    assert recorded(tmp_path / "handlers.json") == chosen


@pytest.mark.parametrize("version", [(1, 6), (2, 0)])
def test_containerd_is_told_of_all_and_of_the_default(version):
    machine = Machine(version, ("/opt/cni/bin",), may_lower_oom_score=True, handlers=Handlers((CRUN, RUNC)))
    plugins = tomllib.loads(render(Places(Path("/data"), "w1", "0a1b2c3d"), machine))["plugins"]
    runtime = plugins["io.containerd.grpc.v1.cri" if version == (1, 6) else "io.containerd.cri.v1.runtime"]
    assert runtime["containerd"]["default_runtime_name"] == "crun"
    crun, runc = (runtime["containerd"]["runtimes"][name] for name in ("crun", "runc"))
    assert crun["runtime_type"] == runc["runtime_type"] == "io.containerd.runc.v2"
    state = "/data/nodes/w1/containerd/state"
    assert crun["options"] == {"SystemdCgroup": False, "Root": f"{state}/crun", "BinaryName": "/usr/bin/crun"}
    assert runc["options"] == {"SystemdCgroup": False, "Root": f"{state}/runc"}


def test_controllers_of_a_hierarchy(tmp_path):
    assert controllers_of(tmp_path / "unified") == ""
    (tmp_path / "cgroup.controllers").write_text("hugetlb misc\n")
    assert controllers_of(tmp_path) == "hugetlb misc"


def test_a_mount_that_other_namespaces_follow():
    private = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    shared = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 master:2 - tmpfs tmpfs rw,mode=755\n"
    assert not is_shared(Path("/sys/fs/cgroup"), private)
    assert is_shared(Path("/sys/fs/cgroup"), shared)
    assert not is_shared(Path("/sys/fs"), shared)


def test_a_trial_is_a_container_as_pods_have_them():
    specification = trial(Path("/bin/busybox"), Path("/tmp/kept"), "/kubus-0a1b2c3d/trial-w1")
    assert specification["linux"]["cgroupsPath"] == "/kubus-0a1b2c3d/trial-w1"
    assert {each["type"] for each in specification["linux"]["namespaces"]} >= {"pid", "mount", "network"}
    assert specification["process"]["args"][:2] == ["/busybox", "sh"]


def test_what_is_done_for_crun_in_words():
    assert in_words(Wants(), "") == "crun"
    said = in_words(Wants(hide_unified=True, keep_flags=True, set_home=True), "hugetlb misc")
    assert said.startswith("crun, which is not shown /sys/fs/cgroup/unified, for that has controllers (hugetlb misc); ")
    assert "/dev/shm" in said
    assert "home" in said


DROPS = Handler("crun", "/usr/bin/crun", keeps_flags=False)


@pytest.mark.parametrize(
    ("handlers", "wanted", "needs_flags", "handler"),
    [
        ((CRUN, RUNC), "", False, "crun"),
        ((CRUN, RUNC), "", True, "crun"),
        ((DROPS, RUNC), "", False, "crun"),
        ((DROPS, RUNC), "", True, "runc"),
        ((DROPS, RUNC), "crun", True, "crun"),
        ((DROPS, RUNC), "other", False, "other"),
        ((), "", True, ""),
    ],
)
def test_a_pod_whose_mounts_have_flags_gets_a_handler_that_keeps_them(handlers, wanted, needs_flags, handler):
    assert Handlers(handlers).for_pod(wanted, needs_flags) == handler


def test_what_drops_flags_is_no_default_where_nothing_else_is():
    finding = Finding("/usr/bin/crun", "crun", keeps_flags=False)
    assert choose("", lambda: finding, lambda: True).all == (DROPS, RUNC)
    with pytest.raises(HandlerMissing, match="crun drops the flags"):
        choose("", lambda: finding, lambda: False)
