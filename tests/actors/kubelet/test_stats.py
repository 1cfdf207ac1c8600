"""Usage: cgroup files of both versions, rates, and the forms that others read."""

import contextlib
import os
from pathlib import Path

import pytest

from actors.kubelet.stats.cgroups import CgroupReader
from actors.kubelet.stats.exposition import cadvisor_metrics, resource_metrics
from actors.kubelet.stats.machine import directory_bytes, node_usage
from actors.kubelet.stats.network import interfaces, parse
from actors.kubelet.stats.serving import node_stat
from actors.kubelet.stats.summary import summary
from actors.kubelet.stats.usage import (
    ContainerUsage,
    Interface,
    NodeUsage,
    PodUsage,
    Sample,
    Usage,
    Work,
    counters,
    rates_between,
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def sample(**fields: object) -> Sample:
    container = ContainerUsage("c", "id1", Usage(2_000_000_000, 5 << 20, 6 << 20, 4 << 20), 1_700_000_000_000_000_000)
    used = Usage(2_100_000_000, 6 << 20, 7 << 20)
    eth0 = Interface("eth0", 1000, 0, 2000, 3)
    pod = PodUsage("u1", "default", "p", used, (container,), volumes={"v": 4096}, interfaces=(eth0,))
    node = NodeUsage(Usage(9_000_000_000, 1 << 30, 2 << 30), 3 << 30, 4 << 30)
    return Sample(1_700_000_100.0, node, (pod,), **fields)  # type: ignore[arg-type]


def test_version_1(tmp_path: Path) -> None:
    write(tmp_path / "memory/k/pod1/memory.usage_in_bytes", "1000\n")
    write(tmp_path / "memory/k/pod1/memory.stat", "cache 1\ntotal_inactive_file 300\ntotal_rss 500\n")
    write(tmp_path / "cpuacct/k/pod1/cpuacct.usage", "42\n")
    assert CgroupReader(tmp_path).read("/k/pod1") == Usage(42, 700, 1000, 500)


def test_version_2(tmp_path: Path) -> None:
    write(tmp_path / "cgroup.controllers", "cpu memory")
    write(tmp_path / "k/pod1/memory.current", "1000\n")
    write(tmp_path / "k/pod1/memory.stat", "anon 500\ninactive_file 300\npgfault 7\n")
    write(tmp_path / "k/pod1/cpu.stat", "usage_usec 5\nuser_usec 3\n")
    write(tmp_path / "k/pod1/pids.current", "3\n")
    assert CgroupReader(tmp_path).read("/k/pod1") == Usage(5000, 700, 1000, 500, 7, 0, 3)


def test_a_cgroup_that_went_away_is_none(tmp_path: Path) -> None:
    assert CgroupReader(tmp_path).read("/k/gone") is None


def test_rates_leave_out_what_was_made_anew() -> None:
    assert rates_between({"a": 100, "b": 100, "c": 1}, {"a": 300, "b": 50, "d": 1}, 2.0) == {"a": 100}
    assert rates_between({"a": 1}, {"a": 2}, 0.0) == {}
    assert counters(sample()) == {"": 9_000_000_000, "u1": 2_100_000_000, "id1": 2_000_000_000}


def test_the_bus_gets_only_what_has_a_rate() -> None:
    assert node_stat("w1", sample()).pods == []
    stat = node_stat("w1", sample(rates={"id1": 50_000_000, "": 1}, window_s=15.0))
    assert stat.pods[0].containers[0].cpu_nanos == 50_000_000
    assert stat.memory_bytes == 1 << 30


def test_the_summary() -> None:
    made = summary("w1", sample(rates={"u1": 7}))
    assert made["node"]["memory"]["availableBytes"] == 3 << 30
    (pod,) = made["pods"]
    assert pod["podRef"] == {"name": "p", "namespace": "default", "uid": "u1"}
    assert pod["cpu"] == {"time": "2023-11-14T22:15:00Z", "usageCoreNanoSeconds": 2_100_000_000, "usageNanoCores": 7}
    assert pod["ephemeral-storage"]["usedBytes"] == 4096
    assert "usageNanoCores" not in pod["containers"][0]["cpu"]
    eth0 = {"name": "eth0", "rxBytes": 1000, "rxErrors": 0, "txBytes": 2000, "txErrors": 3}
    assert pod["network"] == {"time": "2023-11-14T22:15:00Z", **eth0, "interfaces": [eth0]}
    assert "network" not in made["node"]


def test_prometheus_text() -> None:
    resource = resource_metrics(sample()).splitlines()
    labels = 'container="c",namespace="default",pod="p"'
    assert f"container_cpu_usage_seconds_total{{{labels}}} 2 1700000100000" in resource
    assert "node_memory_working_set_bytes 1073741824 1700000100000" in resource
    cadvisor = cadvisor_metrics(sample())
    assert 'container_memory_working_set_bytes{container="c",id="/podu1/id1"' in cadvisor
    assert "# TYPE container_memory_rss gauge" in cadvisor
    eth0 = 'container="",id="/podu1",image="",name="",namespace="default",pod="p",interface="eth0"'
    assert f"container_network_transmit_bytes_total{{{eth0}}} 2000 1700000100000" in cadvisor.splitlines()


def test_work_of_both_versions(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    write(one / "cpu/k/c/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 7000\n")
    write(one / "blkio/k/c/blkio.throttle.io_service_bytes", "8:0 Read 4096\n8:0 Write 8192\n9:0 Read 1\nTotal 12289\n")
    write(one / "blkio/k/c/blkio.throttle.io_serviced", "8:0 Read 1\n8:0 Write 2\nTotal 3\n")
    write(two / "cgroup.controllers", "cpu io")
    write(two / "k/c/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n")
    write(two / "k/c/io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0\n9:0 rbytes=1 wbytes=0\n")
    found = Work(9, 4, 7000, 1, 2, 4097, 8192)
    assert CgroupReader(one).work("/k/c") == CgroupReader(two).work("/k/c") == found
    assert CgroupReader(one).work("/k/gone") == Work()
    lines = cadvisor_metrics(sample(), {"id1": found}).splitlines()
    labels = 'container="c",id="/podu1/id1",image="",name="id1",namespace="default",pod="p"'
    assert f"container_cpu_cfs_throttled_periods_total{{{labels}}} 4 1700000100000" in lines
    assert f'container_fs_reads_bytes_total{{{labels},device=""}} 4097 1700000100000' in lines


def test_this_machine(tmp_path: Path) -> None:
    found = node_usage(tmp_path)
    assert 0 < found.available_bytes < found.capacity_bytes
    assert found.usage.cpu_ns > 0
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x" * 10_000)
    assert directory_bytes(tmp_path) >= 10_000
    assert directory_bytes(tmp_path / "none") == 0


def test_interfaces_of_a_process() -> None:
    text = """Inter-|   Receive                            |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:1936     24    2    0    0     0          0         0     1286      17    5    0    0     0       0          0
"""
    assert parse(text) == (Interface("eth0", 1936, 2, 1286, 5, 24, 0, 17, 0),)
    assert all(item.name != "lo" for item in interfaces("self"))
    assert interfaces(0) == ()


@pytest.mark.parametrize("text", ["", "x y\n"])
def test_files_that_say_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path / "memory/k/memory.usage_in_bytes", "5")
    write(tmp_path / "memory/k/memory.stat", text)
    write(tmp_path / "cpuacct/k/cpuacct.usage", "1")
    assert CgroupReader(tmp_path).read("k") == Usage(1, 5, 5)


def test_a_file_that_goes_while_a_directory_is_measured_hides_none_of_the_others(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).write_bytes(b"x" * 4096)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d").write_bytes(b"x" * 8192)
    whole, scan = directory_bytes(tmp_path), os.scandir

    class Going:
        """One that is listed, and gone when it is looked at."""

        path = "gone"

        def is_dir(self, *, follow_symlinks):
            return False

        def stat(self, *, follow_symlinks):
            raise FileNotFoundError

    @contextlib.contextmanager
    def scandir(path):
        with scan(path) as entries:
            yield [Going(), *entries]

    monkeypatch.setattr(os, "scandir", scandir)
    assert directory_bytes(tmp_path) == whole >= 3 * 4096 + 8192
