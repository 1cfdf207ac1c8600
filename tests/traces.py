"""What a cluster, or a node's ended pods, left behind: processes, mounts, namespaces, rules, links, cgroups, files."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import psutil

from actors.kubelet.containerd.places import Places, places_of

CGROUPS = Path("/sys/fs/cgroup")
UID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


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


def of_pods(data_dir: Path, node: str, inside: list[str]) -> list[str]:
    """Return a line for each thing that a node has for its pods: when no pod is bound to it, all are leaks.

    `inside` begins a command that looks into the node's network. What needs a process to ask is asked last, and only
    when the rest is clean. One mount is the node's own: crun's, while its kubelet runs.
    """
    places = places_of(data_dir, node)
    mounts = [line for line in _mounts(data_dir) if line != f"mount {places.crun_readonly}"]
    found = [*_pod_files(places), *mounts, *_pod_cgroups(places), *_shims(places)]
    return found or [*_pod_links(inside), *_in_containerd(places)]


def of_images(data_dir: Path, node: str) -> list[str]:
    """Return a line for what containerd stores and no image of the node needs: content, unpacked layers, leases.

    Images themselves stay as long as there is room, as Kubernetes' kubelet keeps them.
    """
    places = places_of(data_dir, node)
    ctr = ["ctr", "-a", str(places.socket), "-n", "k8s.io"]
    found = [f"lease {line.split()[0]}" for line in _output([*ctr, "leases", "ls"]).splitlines()[1:] if line.strip()]
    targets = {line.split()[2] for line in _output([*ctr, "images", "ls"]).splitlines()[1:] if len(line.split()) > 2}
    needed, layers = set(), set()
    for target in targets:
        needed |= _content_of(ctr, target, layers)
    stored = _output([*ctr, "content", "ls", "-q"]).split()
    found += [f"content {digest}" for digest in stored if digest not in needed]
    rows = [line.split() for line in _output([*ctr, "snapshots", "ls"]).splitlines()[1:]]
    return found + [f"snapshot {row[0]}" for row in rows if row[-1] == "Committed" and row[0] not in layers]


def _content_of(ctr: list[str], digest: str, layers: set[str]) -> set[str]:
    """Return what an index, manifest or config refers to, itself included; unpacked layers are added to `layers`."""
    text = _output([*ctr, "content", "get", digest])
    document = json.loads(text) if text.startswith("{") else {}
    needed = {digest, *(layer["digest"] for layer in document.get("layers") or ())}
    for inner in (*(document.get("manifests") or ()), *([document["config"]] if "layers" in document else ())):
        needed |= _content_of(ctr, inner["digest"], layers)
    chain = ""
    for layer in (document.get("rootfs") or {}).get("diff_ids") or ():
        chain = f"sha256:{hashlib.sha256(f'{chain} {layer}'.encode()).hexdigest()}" if chain else layer
        layers.add(chain)
    return needed


def of_descriptors(pid: int, data_dir: Path, node: str) -> list[str]:
    """Return a line for each file of a pod, or one that nobody can reach any more, which a process has open."""
    home = data_dir.resolve() / "nodes" / node
    own = tuple(str(home / folder) for folder in ("pods", "logs", "containerd/commands"))
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(path)
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith(own) or target.endswith(" (deleted)"):
            found.append(f"descriptor {path.name}: {target}")
    return found


def of_gone_pods(data_dir: Path, node: str, known: set[str]) -> list[str]:
    """Return a line for each thing that a node has for a pod whose uid is not known. Asks no process."""
    places = places_of(data_dir, node)
    found = [*_pod_files(places), *_mounts(data_dir / "nodes" / node / "pods"), *_pod_cgroups(places)]
    return [line for line in found if (uid := UID.search(line)) is not None and uid[0] not in known]


def _pod_files(places: Places) -> list[str]:
    node = places.data_dir / "nodes" / places.node
    folders = (node / "pods", node / "logs" / "pods", places.commands)
    found = [f"file {path}" for folder in folders for path in folder.glob("*")]
    leases = (path for path in places.cni_addresses.rglob("*") if path.is_file() and path.name[:1].isdigit())
    return found + [f"address {path.name}" for path in leases]


def _pod_cgroups(places: Places) -> list[str]:
    """Kubernetes' own layout: a folder for each pod, below that of its class."""
    roots = (path / places.cgroup.lstrip("/") for path in (CGROUPS, *CGROUPS.glob("*")))
    walks = (step for root in roots for step in os.walk(root))  # which bears that folders go meanwhile
    return [f"cgroup {folder}/{name}" for folder, names, _ in walks for name in names if name.startswith("pod")]


def _shims(places: Places) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words and "containerd-shim" in words[0] and str(places.socket) in words:
            found.append(f"shim {process.pid}: {' '.join(words)[:120]}")
    return found


def _pod_links(inside: list[str]) -> list[str]:
    links = json.loads(_output([*inside, "ip", "-j", "link", "show", "type", "veth"]) or "[]")
    return [f"link {link['ifname']}" for link in links if link]


def _in_containerd(places: Places) -> list[str]:
    ctr = ["ctr", "-a", str(places.socket), "-n", "k8s.io"]
    containers = _output([*ctr, "containers", "ls", "-q"]).splitlines()
    snapshots = _output([*ctr, "snapshots", "ls"]).splitlines()
    found = [f"container {line}" for line in containers if line.strip()]
    return found + [f"snapshot {line}" for line in snapshots if line.split()[-1:] in (["Active"], ["View"])]
