"""A pod's cgroup: the parent that bounds its containers together, in cgroup v1 and v2.

All pods of a node are siblings below /kubus-INSTANCE/NODE. Kubernetes' kubelet puts burstable and best-effort pods one
level deeper and keeps those levels' weights in step with the sum of requests; with siblings the weights are in step by
themselves, because a pod's shares are its own requests.

containerd (by runc, cgroupfs driver) makes the containers' cgroups inside. What can go wrong: a cgroup with a process
or a child left in it can't be removed; it is tried again by the next `sweep`.
"""

import errno
import os
from collections.abc import Collection
from pathlib import Path

from actors.kubelet.containerd.machine import CGROUP_ROOT
from actors.kubelet.measure import Durations
from actors.kubelet.runtime import Resources
from actors.kubelet.stats.cgroups import CgroupReader

POD_PREFIX = "pod"
BEST_EFFORT_SHARES = 2  # the kernel's least, as Kubernetes gives to pods without requests
SHARES_PER_CPU = 1024
V1_CONTROLLERS = ("cpu", "memory")  # those with pod-level limits; runc makes the folders of the others
V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids", "hugetlb")


def cpu_weight(shares: int) -> int:
    """Return cgroup v2's cpu.weight (1..10000) for v1's cpu.shares (2..262144), as runc converts."""
    return 1 + (max(2, min(shares, 262_144)) - 2) * 9999 // 262_142


def pod_settings(resources: Resources, unified: bool) -> list[tuple[str, str, str]]:
    """Return (controller, file, value) of what bounds a pod; no limit is written as such, so that it can be lifted."""
    shares = resources.cpu_shares or BEST_EFFORT_SHARES
    memory = resources.memory_limit_bytes
    quota, period = resources.cpu_quota_us, resources.cpu_period_us
    if unified:
        return [
            ("cpu", "cpu.weight", str(cpu_weight(shares))),
            ("cpu", "cpu.max", f"{quota or 'max'} {period}"),
            ("memory", "memory.max", str(memory or "max")),
        ]
    return [
        ("cpu", "cpu.shares", str(shares)),
        ("cpu", "cpu.cfs_period_us", str(period)),
        ("cpu", "cpu.cfs_quota_us", str(quota or -1)),
        ("memory", "memory.limit_in_bytes", str(memory or -1)),
    ]


class Cgroups:
    """The pods' cgroups of one node. Calls block for the kernel's time: fractions of a millisecond each."""

    def __init__(self, parent: str, root: Path = CGROUP_ROOT, memory_bytes: int = 0):
        """`memory_bytes` is what all pods together may have; 0: no bound."""
        self.parent = parent
        self._memory_bytes = memory_bytes
        self._is_bound = False  # also as nothing bounds it: an earlier kubelet may have had another configuration
        self._root = root
        self.unified = (root / "cgroup.controllers").exists()
        self.durations = Durations()

    def pod(self, uid: str) -> str:
        """Return the cgroup parent of a pod, as the CRI wants it."""
        return f"{self.parent}/{POD_PREFIX}{uid}"

    def _hierarchies(self) -> list[Path]:
        if self.unified:
            return [self._root]
        return [path for path in sorted(self._root.iterdir()) if path.is_dir() and not path.is_symlink()]

    def _path(self, controller: str, cgroup: str) -> Path:
        return (self._root if self.unified else self._root / controller) / cgroup.lstrip("/")

    def make_pod(self, uid: str, resources: Resources) -> str:
        """Make a pod's cgroup, or set an existing one's limits; returns the cgroup parent."""
        cgroup = self.pod(uid)
        with self.durations.timed("create"):
            self._make(cgroup)
        self.resize_pod(uid, resources)
        return cgroup

    def resize_pod(self, uid: str, resources: Resources) -> None:
        """Set the limits of a pod's cgroup, if it still has one. OSError when the kernel can't."""
        with self.durations.timed("update"):
            for controller, name, value in pod_settings(resources, self.unified):
                path = self._path(controller, self.pod(uid)) / name
                if path.exists():  # a kernel may lack a controller, such as CFS bandwidth
                    path.write_text(value)

    def held_memory(self, cgroup: str) -> int:
        """Return the bytes that a cgroup can't give back at once; 0 when there is no such cgroup."""
        usage = CgroupReader(self._root).read(cgroup)
        return usage.working_set_bytes if usage is not None else 0

    def _make(self, cgroup: str) -> None:
        if self.unified:
            self._make_unified(cgroup)
            return
        for controller in V1_CONTROLLERS:
            if (self._root / controller).exists():
                self._path(controller, cgroup).mkdir(parents=True, exist_ok=True)
        self._weigh_parent("cpu.shares", str(SHARES_PER_CPU * (os.cpu_count() or 1)))
        self._bound_parent("memory.limit_in_bytes", "-1")

    def _make_unified(self, cgroup: str) -> None:
        """Make each level, and hand the controllers down to the next one."""
        level = self._root
        for part in cgroup.strip("/").split("/"):
            offered = set((level / "cgroup.controllers").read_text().split())
            given = set((level / "cgroup.subtree_control").read_text().split())
            for controller in V2_CONTROLLERS:
                if controller in offered - given:
                    _hand_down(level, controller)
            level = level / part
            level.mkdir(exist_ok=True)
        self._weigh_parent("cpu.weight", str(cpu_weight(SHARES_PER_CPU * (os.cpu_count() or 1))))
        self._bound_parent("memory.max", "max")

    def _weigh_parent(self, name: str, value: str) -> None:
        """Let the pods together weigh as much as the machine has CPUs against everything else on it."""
        path = self._path("cpu", "/" + self.parent.strip("/").split("/")[0]) / name
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)

    def _bound_parent(self, name: str, unbound: str) -> None:
        """Hold all pods of the node together to what the system does not keep for itself.

        Pods that hold more already keep it: the kernel refuses then, and is asked again with the next pod.
        """
        path = self._path("memory", self.parent) / name
        if self._is_bound or not path.exists():
            return
        try:
            path.write_text(str(self._memory_bytes or unbound))
            self._is_bound = True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise

    def remove_pod(self, uid: str) -> bool:
        """Remove a pod's cgroup with the empty ones inside; False when something is still in it."""
        with self.durations.timed("destroy"):
            return all([_remove_tree(top / self.pod(uid).lstrip("/")) for top in self._hierarchies()])

    def pods(self) -> set[str]:
        """Return the uids that have a cgroup."""
        uids: set[str] = set()
        for top in self._hierarchies():
            parent = top / self.parent.lstrip("/")
            if parent.is_dir():
                uids |= {path.name.removeprefix(POD_PREFIX) for path in parent.glob(f"{POD_PREFIX}*") if path.is_dir()}
        return uids

    def sweep(self, keep: Collection[str]) -> None:
        """Remove the cgroups of pods that are gone."""
        for uid in self.pods() - set(keep):
            self.remove_pod(uid)


def _hand_down(level: Path, controller: str) -> None:
    """Give a controller to a cgroup's children. Where the kernel won't (real-time tasks, or processes in a cgroup that
    is the root of a container), its files are missing below: no such limit then, as on a kernel without it."""
    try:
        (level / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBUSY, errno.ENOENT, errno.EOPNOTSUPP):
            raise


def _remove_tree(path: Path) -> bool:
    """Remove a cgroup bottom-up: its files vanish with it, only folders are removed."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                return False
            raise
    return True
