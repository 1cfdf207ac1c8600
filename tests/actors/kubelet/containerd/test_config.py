"""containerd's configuration and places, without a containerd."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from actors.kubelet.containerd import pause_profile
from actors.kubelet.containerd.child import containerd_env
from actors.kubelet.containerd.config import DISABLED_PLUGINS, PAUSE_IMAGE, Machine, render, to_value
from actors.kubelet.containerd.machine import CAP_SYS_RESOURCE, holds_capability, parse_version
from actors.kubelet.containerd.places import SOCKET_PATH_MAX, Places, places_of

PLACES = Places(Path("/data"), "w1", "0a1b2c3d")
V16 = Machine((1, 6), ("/usr/lib/cni",), may_lower_oom_score=False, apparmor=False)
V20 = Machine((2, 0), ("/opt/cni/bin",), may_lower_oom_score=True)


def test_version_2_of_the_format_for_containerd_1():
    tree = tomllib.loads(render(PLACES, V16))
    assert tree["version"] == 2
    assert tree["root"] == "/data/nodes/w1/containerd/root"
    assert tree["state"] == "/data/nodes/w1/containerd/state"
    assert tree["grpc"]["address"] == str(PLACES.socket)
    assert tree["disabled_plugins"] == list(DISABLED_PLUGINS)
    cri = tree["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == PAUSE_IMAGE
    assert cri["restrict_oom_score_adj"] is True
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/data/nodes/w1/cni/net.d", "max_conf_num": 1}
    runc = cri["containerd"]["runtimes"]["runc"]["options"]
    assert runc == {"SystemdCgroup": False, "Root": "/data/nodes/w1/containerd/state/runc"}


def test_version_3_of_the_format_for_containerd_2():
    tree = tomllib.loads(render(PLACES, V20))
    assert tree["version"] == 3
    plugins = tree["plugins"]
    assert plugins["io.containerd.cri.v1.images"]["pinned_images"] == {"sandbox": PAUSE_IMAGE}
    runtime = plugins["io.containerd.cri.v1.runtime"]
    assert runtime["restrict_oom_score_adj"] is False
    assert runtime["cni"]["bin_dir"] == "/opt/cni/bin"
    assert runtime["containerd"]["runtimes"]["runc"]["runtime_type"] == "io.containerd.runc.v2"


@pytest.mark.parametrize("text", ['a"b', "back\\slash", "tab\tnewline\n", "ümläut", "\x7f", "{}[]#="])
def test_strings_survive_toml(text):
    assert tomllib.loads(f"x = {to_value(text)}")["x"] == text


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", (1, 6)),
        ("containerd github.com/containerd/containerd/v2 v2.0.1 88aa2f531d6c2922003cc7929e51daf1c14caa0a", (2, 0)),
        ("containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da", (1, 7)),
        ("no version here", (0, 0)),
    ],
)
def test_versions_as_distributions_print_them(printed, version):
    assert parse_version(printed) == version


def test_a_capability_is_a_bit_of_the_effective_set():
    assert holds_capability(CAP_SYS_RESOURCE, "CapPrm:\t0\nCapEff:\t0000000001000000\n")
    assert not holds_capability(CAP_SYS_RESOURCE, "CapEff:\tfffffffffeffffff\n")
    assert not holds_capability(CAP_SYS_RESOURCE, "Name:\tx\n")


def test_sockets_move_to_run_when_their_path_would_be_too_long(tmp_path):
    near = places_of(Path("/data"), "w1")
    assert near.socket == Path("/data/nodes/w1/containerd/containerd.sock")
    far = places_of(tmp_path / ("deep" * 25), "w1")
    assert far.socket == Path(f"/run/kubus-{far.instance}/w1/containerd.sock")
    for places in (near, far):
        assert len(f"{places.socket}.ttrpc") <= SOCKET_PATH_MAX


def test_two_data_dirs_share_nothing(tmp_path):
    one, other = places_of(tmp_path / "a", "m1"), places_of(tmp_path / "b", "m1")
    assert one.cgroup != other.cgroup
    assert not {one.root, one.state, one.cni_conf, one.socket} & {other.root, other.state, other.cni_conf, other.socket}


def test_the_systems_folders_are_in_containerds_path(monkeypatch):
    monkeypatch.setenv("PATH", "/home/me/bin:/usr/bin")
    path = containerd_env()["PATH"].split(":")
    assert path[:2] == ["/home/me/bin", "/usr/bin"]
    assert "/usr/sbin" in path
    assert path.count("/usr/bin") == 1


def test_the_driver_can_be_imported_before_a_fork():
    """grpcio has threads, which do not survive a fork: it must not come in with the module of the driver."""
    script = "import sys, actors.kubelet.containerd.driver; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30).returncode == 0


def test_a_pause_container_may_neither_talk_nor_change_files_nor_make_namespaces():
    written = pause_profile.profile()
    assert written["defaultAction"] == "SCMP_ACT_ERRNO"
    assert "architectures" not in written, "the machine's own alone"
    allowed = {name for rule in written["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert not allowed & {"socket", "connect", "unlinkat", "rename", "chmod", "mount", "ptrace", "setns", "bpf"}
    (clone,) = (rule for rule in written["syscalls"] if rule["names"] == ["clone"])
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
