"""What a cluster left behind: processes, mounts, network namespaces, rules, bridges, cgroups, files."""

import json
import shutil
import subprocess
from pathlib import Path

import psutil


def of_cluster(data_dir: Path, namespace: str = "") -> list[str]:
    """Return a line for each trace of the cluster that lived in a data dir (and in a network namespace)."""
    return [
        *_processes(data_dir),
        *_mounts(data_dir),
        *_network(data_dir, namespace),
        *_cgroups(data_dir),
        *_files(data_dir),
    ]


def _processes(data_dir: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(data_dir) in words:
            found.append(f"process {process.info['pid']}: {words[:120]}")
    return found


def _mounts(data_dir: Path) -> list[str]:
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return []
    points = [line.split()[1] for line in mounts.read_text().splitlines()]
    return [f"mount {point}" for point in points if point.startswith(str(data_dir))]


def _network(data_dir: Path, namespace: str) -> list[str]:
    """Inside the cluster's own network namespace nothing but loopback may be left; and of the pods' none."""
    if not namespace:
        return []
    inside = ["nsenter", f"--net=/var/run/netns/{namespace}"]
    found = []
    links = json.loads(_output([*inside, "ip", "-j", "link"]) or "[]")
    found += [f"link {link['ifname']}" for link in links if link["ifname"] != "lo"]
    if shutil.which("nft"):
        found += [f"nft {line}" for line in _output([*inside, "nft", "list", "tables"]).splitlines()]
    routes = _output([*inside, "ip", "route"]).splitlines()
    return found + [f"route {line}" for line in routes]


def _cgroups(data_dir: Path) -> list[str]:
    root = Path("/sys/fs/cgroup")
    if not root.exists():
        return []
    marks = _output(["find", str(root), "-maxdepth", "4", "-type", "d", "-name", "*kubus*"]).splitlines()
    return [f"cgroup {mark}" for mark in marks if data_dir.name in mark]


def _files(data_dir: Path) -> list[str]:
    return [f"file {path}" for path in sorted(data_dir.rglob("*"))[:5]] if data_dir.exists() else []


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
