"""The cluster in arrays: a row a node, a column a resource, so that a filter or a score is one operation over all
nodes.

Rows are reused and grow by doubling. Resources are columns found by name; an extended resource gets one when a node or
a pod first names it. Labels, taints, images and host ports have the shape that suits how sparse they are. Nothing here
decides anything: filters and scores read, `cache` writes.

What can go wrong: a pod removed twice would make `requested` negative; `validate` says so in tests.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from actors.scheduler.changes import ChangeLog
from actors.scheduler.host_ports import HostPorts
from actors.scheduler.labels import LabelColumns
from actors.scheduler.node_info import NodeInfo, Taint
from actors.scheduler.pod_index import PodIndex
from actors.scheduler.requirements import Requirements

CPU, MEMORY, EPHEMERAL_STORAGE, PODS = range(4)
FIXED_RESOURCES = ("cpu", "memory", "ephemeral-storage", "pods")
FIRST_CAPACITY = 64  # rows to begin with; doubled whenever they are used up
MAX_REMEMBERED = 512  # values that depend on nodes alone; at the limit all are made anew

Remembered = TypeVar("Remembered")
Rows = Any  # what selects rows of an array: slice(0, size), or an array of row numbers


class NodeArrays:
    """All nodes, and what the pods on them ask for."""

    def __init__(self, capacity: int = FIRST_CAPACITY) -> None:
        self.capacity = capacity
        self.size = 0  # rows ever used: [0, size); `valid` says which hold a node
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self.infos: dict[int, NodeInfo] = {}
        self._free: list[int] = []
        self.resources = {name: column for column, name in enumerate(FIXED_RESOURCES)}
        self.valid = np.zeros(capacity, dtype=bool)
        self.unschedulable = np.zeros(capacity, dtype=bool)
        self.allocatable = np.zeros((len(FIXED_RESOURCES), capacity), dtype=np.int64)
        self.requested = np.zeros((len(FIXED_RESOURCES), capacity), dtype=np.int64)
        self.nonzero = np.zeros((2, capacity), dtype=np.int64)  # CPU, MEMORY with defaults for pods that ask for none
        self.labels = LabelColumns(capacity)
        self.taints: dict[Taint, np.ndarray] = {}
        self.images: dict[str, dict[int, int]] = {}  # name -> row -> size in bytes
        self.ports = HostPorts()
        self.pods = PodIndex(capacity)
        self.node_changes = ChangeLog()
        self.usage_changes = ChangeLog()
        self._remembered: dict[Hashable, Any] = {}
        self._remembered_at = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def all_rows(self) -> slice:
        return slice(0, self.size)

    def column(self, resource: str) -> int:
        """Return the column of a resource; one is added for a name that is new."""
        column = self.resources.get(resource)
        if column is None:
            column = self.resources[resource] = len(self.resources)
            row = np.zeros((1, self.capacity), dtype=np.int64)
            self.allocatable = np.concatenate([self.allocatable, row])
            self.requested = np.concatenate([self.requested, row])
        return column

    def remember(self, key: Hashable, make: Callable[[], Remembered]) -> Remembered:
        """Return what `make` gives, made once for a key while no node changes."""
        if self._remembered_at != self.node_changes.position or len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
            self._remembered_at = self.node_changes.position
        found = self._remembered.get(key)
        if found is None:
            found = self._remembered[key] = make()
        return found

    def put_node(self, info: NodeInfo) -> int:
        """Add a node or replace what is known of it; return its row. What its pods request stays as it is."""
        row = self.rows.get(info.name)
        old = self.infos.get(row) if row is not None else None
        if row is None:
            row = self._take_row(info.name)
        self.infos[row] = info
        self.valid[row] = True
        self.unschedulable[row] = info.unschedulable
        self.allocatable[:, row] = 0
        for resource, quantity in info.allocatable.items():
            column = self.column(resource)
            self.allocatable[column, row] = quantity
        self.labels.replace(row, old.labels if old else {}, info.labels)
        self._replace_taints(row, old.taints if old else (), info.taints)
        self._replace_images(row, old.images if old else {}, info.images)
        self.node_changes.mark(row)
        self.usage_changes.mark(row)
        return row

    def remove_node(self, name: str) -> None:
        """Free a node's row. Its pods must have been taken off before."""
        row = self.rows.pop(name)
        info = self.infos.pop(row)
        assert not self.requested[:, row].any(), f"row of node {name} is freed while pods are on it"
        self.labels.replace(row, info.labels, {})
        self._replace_taints(row, info.taints, ())
        self._replace_images(row, info.images, {})
        self.valid[row] = False
        self.unschedulable[row] = False
        self.allocatable[:, row] = 0
        self.names[row] = ""
        self._free.append(row)
        self.node_changes.mark(row)
        self.usage_changes.mark(row)

    def add_pod(self, row: int, requirements: Requirements) -> None:
        self._charge(row, requirements, 1)
        if requirements.host_ports:
            self.ports.add(row, requirements.host_ports)

    def remove_pod(self, row: int, requirements: Requirements) -> None:
        self._charge(row, requirements, -1)
        if requirements.host_ports:
            self.ports.remove(row, requirements.host_ports)

    def validate(self) -> None:
        """Assert what must hold between the arrays; tests call it after each step."""
        assert (self.requested >= 0).all() and (self.nonzero >= 0).all()
        assert sorted(self.rows.values()) == np.flatnonzero(self.valid).tolist()
        assert all(self.names[row] == name for name, row in self.rows.items())
        assert not self.requested[:, ~self.valid].any()

    def _charge(self, row: int, requirements: Requirements, sign: int) -> None:
        requested = self.requested
        for resource, quantity in requirements.requests.items():
            column = self.resources.get(resource)
            if column is None:
                column = self.column(resource)
                requested = self.requested
            requested[column, row] += sign * quantity
        requested[PODS, row] += sign
        self.nonzero[CPU, row] += sign * requirements.nonzero_cpu_millis
        self.nonzero[MEMORY, row] += sign * requirements.nonzero_memory_bytes
        self.usage_changes.mark(row)

    def _take_row(self, name: str) -> int:
        if self._free:
            row = self._free.pop()
            self.names[row] = name
        else:
            if self.size == self.capacity:
                self._grow(2 * self.capacity)
            row = self.size
            self.size += 1
            self.names.append(name)
        self.rows[name] = row
        return row

    def _grow(self, capacity: int) -> None:
        extra = capacity - self.capacity
        for field in ("valid", "unschedulable"):
            setattr(self, field, np.pad(getattr(self, field), (0, extra)))
        for field in ("allocatable", "requested", "nonzero"):
            setattr(self, field, np.pad(getattr(self, field), ((0, 0), (0, extra))))
        self.taints = {taint: np.pad(carriers, (0, extra)) for taint, carriers in self.taints.items()}
        self.labels.grow(capacity)
        self.pods.grow(capacity)
        self.capacity = capacity

    def _replace_taints(self, row: int, old: tuple[Taint, ...], new: tuple[Taint, ...]) -> None:
        for taint in old:
            self.taints[taint][row] = False
        for taint in new:
            if taint not in self.taints:
                self.taints[taint] = np.zeros(self.capacity, dtype=bool)
            self.taints[taint][row] = True
        for taint in set(old) - set(new):
            if not self.taints[taint].any():
                del self.taints[taint]

    def _replace_images(self, row: int, old: dict[str, int], new: dict[str, int]) -> None:
        if old == new:
            return
        for name in old:
            rows = self.images[name]
            del rows[row]
            if not rows:
                del self.images[name]
        for name, size in new.items():
            self.images.setdefault(name, {})[row] = size
