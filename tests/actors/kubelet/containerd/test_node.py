"""What is written to the node: cgroups (in a folder that plays the kernel), CNI configuration, nftables."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from actors.api.config import KubeletConfig, NodeConfig
from actors.cluster import purge
from actors.cluster.purge import Scope
from actors.kubelet.containerd import network, podnetwork
from actors.kubelet.containerd.cgroups import Cgroups, cpu_weight, pod_settings
from actors.kubelet.containerd.driver import pods_memory
from actors.kubelet.containerd.podnetwork import HostPort, PodNetwork, host_ports_of
from actors.kubelet.runtime import PortMapping, Resources
from runtime.command import find_program
from tests.actors.kubelet.containerd.node import own_network
from tests.real_tier import need_real

GRPC_THREADS = ("event_engine\n", "lifeguard\n")  # as the kernel names them
NETWORK = PodNetwork("kubus-x-m1", "kbr-x", ("10.244.1.0/24",), ("10.244.0.0/16",), "/data/cni/addresses")


def test_cpu_weight_spans_what_shares_span():
    assert [cpu_weight(shares) for shares in (0, 2, 1024, 262_144, 10**9)] == [1, 1, 39, 10_000, 10_000]


def test_limits_in_both_versions():
    bounded = Resources(cpu_shares=512, cpu_quota_us=50_000, memory_limit_bytes=1 << 20)
    assert pod_settings(bounded, unified=True) == [
        ("cpu", "cpu.weight", "20"),
        ("cpu", "cpu.max", "50000 100000"),
        ("memory", "memory.max", "1048576"),
    ]
    assert pod_settings(Resources(), unified=False) == [
        ("cpu", "cpu.shares", "2"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_quota_us", "-1"),
        ("memory", "memory.limit_in_bytes", "-1"),
    ]


@pytest.fixture
def v1(tmp_path):
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
    (tmp_path / "cpuacct").symlink_to("cpu")
    return Cgroups("/kubus-x/m1", tmp_path)


def test_version_1(v1, tmp_path):
    pod = tmp_path / "memory/kubus-x/m1/podu1"
    assert v1.make_pod("u1", Resources()) == "/kubus-x/m1/podu1"
    assert (tmp_path / "cpu/kubus-x/m1/podu1").is_dir()
    (pod / "memory.limit_in_bytes").write_text("")
    v1.make_pod("u1", Resources(memory_limit_bytes=4096))
    assert (pod / "memory.limit_in_bytes").read_text() == "4096"
    (pod / "memory.limit_in_bytes").unlink()  # in a real cgroup the files go with the folder
    assert v1.pods() == {"u1"}
    (pod / "c1").mkdir()
    assert v1.remove_pod("u1")
    assert v1.pods() == set()
    assert v1.remove_pod("u1")


def test_version_2_hands_controllers_down(tmp_path):
    def level(path):
        path.mkdir(parents=True, exist_ok=True)
        (path / "cgroup.controllers").write_text("cpu memory rdma")
        (path / "cgroup.subtree_control").write_text("")

    for path in (tmp_path, tmp_path / "kubus-x", tmp_path / "kubus-x/m1"):
        level(path)
    cgroups = Cgroups("/kubus-x/m1", tmp_path)
    assert cgroups.unified
    cgroups.make_pod("u1", Resources())
    assert (tmp_path / "kubus-x/m1/podu1").is_dir()
    assert (tmp_path / "kubus-x/m1/cgroup.subtree_control").read_text() == "+memory"  # the last that was written


@pytest.mark.parametrize(("bound", "written"), [(4096, "4096"), (0, "-1")])
def test_all_pods_together_are_bound(v1, tmp_path, bound, written):
    v1.make_pod("u1", Resources())
    limit = tmp_path / "memory/kubus-x/m1/memory.limit_in_bytes"
    limit.write_text("77")  # as an earlier kubelet left it
    cgroups = Cgroups("/kubus-x/m1", tmp_path, memory_bytes=bound)
    cgroups.make_pod("u2", Resources())
    assert limit.read_text() == written


def test_what_the_system_keeps_is_not_for_pods():
    kept = KubeletConfig(system_reserved={"memory": "1Gi"})
    assert pods_memory(NodeConfig(roles=[], capacity={"memory": "4Gi"}, kubelet=kept)) == 3 << 30
    assert pods_memory(NodeConfig(roles=[], capacity={"memory": "4Gi"})) == 0


def test_sweep_keeps_the_living(v1):
    for uid in ("a", "b", "c"):
        v1.make_pod(uid, Resources())
    v1.sweep({"b"})
    assert v1.pods() == {"b"}


def test_the_cni_configuration():
    tree = json.loads(podnetwork.conflist(NETWORK))
    assert [plugin["type"] for plugin in tree["plugins"]] == ["bridge"]
    bridge = tree["plugins"][0]
    assert (bridge["bridge"], bridge["isGateway"], bridge["hairpinMode"], bridge["ipMasq"]) == (
        "kbr-x",
        True,
        True,
        False,
    )
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert "mtu" not in bridge


def test_two_families():
    network = PodNetwork("n", "b", ("10.1.0.0/24", "fd00::/64"), ("10.1.0.0/16", "fd00::/48"), "/a", mtu=1400)
    tree = json.loads(podnetwork.conflist(network))["plugins"][0]
    assert tree["ipam"]["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    assert tree["mtu"] == 1400
    rules = podnetwork.node_tables("x", network, ())
    assert "ip6 saddr { fd00::/64 } ip6 daddr != { fd00::/48, ff00::/8 } masquerade" in rules
    assert podnetwork.gateway("fd00::/64") == "fd00::1/64"


def test_without_masquerading_pods_keep_their_addresses():
    network = PodNetwork("n", "b", ("10.1.0.0/24",), ("10.1.0.0/16",), "/a", masquerade=False)
    assert "saddr { 10.1.0.0/24 } ip daddr" not in podnetwork.node_tables("x", network, ())


def test_host_ports():
    mappings = [
        PortMapping("TCP", 80, 8080),
        PortMapping("UDP", 53, 5353, "127.0.0.1"),
        PortMapping("TCP", 81, 0),
        PortMapping("TCP", 82, 8082, "fd00::1"),
        PortMapping("TCP", 83, 8083, "0.0.0.0"),
    ]
    ports = host_ports_of(mappings, "10.244.1.2")
    assert ports == [
        HostPort("tcp", 8080, "10.244.1.2", 80),
        HostPort("udp", 5353, "10.244.1.2", 53, "127.0.0.1"),
        HostPort("tcp", 8083, "10.244.1.2", 83),
    ]
    added = podnetwork.add_host_ports("x", ports).splitlines()
    assert added[0] == "create element ip kubus-x-cni ports { tcp . 8080 : 10.244.1.2 . 80 }"
    assert added[1] == "create element ip kubus-x-cni address_ports { 127.0.0.1 . udp . 5353 : 10.244.1.2 . 53 }"
    assert podnetwork.delete_host_ports("x", ports[:1]) == "delete element ip kubus-x-cni ports { tcp . 8080 }\n"


@pytest.mark.real
def test_nft_accepts_the_rules():
    need_real()
    rules = podnetwork.node_tables("x", NETWORK, [HostPort("tcp", 1, "10.244.1.2", 2)])
    command = ["unshare", "--net", shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin"), "--check", "-f", "-"]
    checked = subprocess.run(command, input=rules, capture_output=True, text=True, timeout=20)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.real
def test_a_firewall_that_drops_is_opened_for_the_bridge_and_closed_by_a_purge(tmp_path):
    need_real()
    iptables = find_program("iptables")
    if iptables is None:
        pytest.skip("real tier: iptables is missing")

    def rules() -> list[str]:
        printed = subprocess.run([iptables, "-S", "FORWARD"], capture_output=True, text=True, timeout=20).stdout
        return [line for line in printed.splitlines() if line.startswith("-A")]

    with own_network():
        subprocess.run([iptables, "-P", "FORWARD", "DROP"], check=True, timeout=20)
        subprocess.run([iptables, "-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT"], check=True, timeout=20)
        for _ in range(2):
            asyncio.run(network.ensure("0a1b2c3d", NETWORK, (), tmp_path, tables="0a1b2c3d"))
            assert [line.split()[3] for line in rules()] == ["kbr-x", "kbr-x", "docker0"]
        scope = Scope(tmp_path / "data", "0a1b2c3d", "kbr-x")
        assert purge.purge(scope) == []
        assert [line.split()[3] for line in rules()] == ["docker0"]
        links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, timeout=20).stdout)
        assert [link["ifname"] for link in links] == ["lo"]


@pytest.mark.real
def test_what_grpc_connects_with_stays_outside_of_a_network_that_a_test_enters():
    """A channel that outlives the test keeps gRPC's threads, and later tests are served by them."""
    need_real()
    with own_network():
        left = grpc.insecure_channel("127.0.0.1:9")
    with contextlib.closing(left):
        threads = [path.parent for path in Path("/proc/self/task").glob("*/comm") if path.read_text() in GRPC_THREADS]
        assert {os.readlink(thread / "ns/net") for thread in threads} == {os.readlink("/proc/thread-self/ns/net")}


def test_the_rules_for_a_dropping_firewall_carry_the_instance():
    for rule in podnetwork.forward_rules("x", "kbr-x"):
        assert "kbr-x" in rule
        assert "kubus-x" in rule


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth1\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
"""


def test_the_default_routes_device():
    assert podnetwork.default_route_device(ROUTES) == "eth1"
    assert podnetwork.default_route_device(re.sub("eth1.*\n", "", ROUTES)) is None
