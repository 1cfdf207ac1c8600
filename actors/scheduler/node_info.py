"""What the scheduler reads of a Node object, and whether two versions of one differ in it.

A Node is written every few seconds by its heartbeat; nearly all of those writes change nothing here, and are dropped
before they reach the arrays or the queue.

Neighbours: `arrays` stores it, `core` compares versions of it.
"""

from typing import Any, NamedTuple

from actors.api.quantity import bytes_of, cpu_millis

DEFAULT_TAG = ":latest"
LARGEST_AMOUNT = 2**52  # 4 Pi of anything; more counts as this much, so that sums and percentages stay within 64 bits


class Taint(NamedTuple):
    key: str
    value: str
    effect: str


class NodeInfo(NamedTuple):
    """The part of a Node that decides about pods. Amounts: cpu in millis, everything else in whole units."""

    name: str
    unschedulable: bool
    allocatable: dict[str, int]
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    images: dict[str, int]  # normalised name -> size in bytes


def amount(resource: str, quantity: Any) -> int:
    """Return a quantity in the unit in which the scheduler counts that resource, rounded up."""
    return min(LARGEST_AMOUNT, cpu_millis(quantity) if resource == "cpu" else bytes_of(quantity))


def normalized_image_name(name: str) -> str:
    """Return an image name with a tag: `busybox` and `registry:5000/app` get the default one."""
    return name if name.rfind(":") > name.rfind("/") else name + DEFAULT_TAG


def node_info(node: dict[str, Any]) -> NodeInfo:
    """Return what matters of a Node object."""
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    images = {
        normalized_image_name(name): image.get("sizeBytes", 0)
        for image in status.get("images") or ()
        for name in image.get("names") or ()
    }
    return NodeInfo(
        name=metadata["name"],
        unschedulable=bool(spec.get("unschedulable")),
        allocatable={r: amount(r, q) for r, q in (status.get("allocatable") or {}).items()},
        labels=metadata.get("labels") or {},
        taints=tuple(Taint(t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or ()),
        images=images,
    )


def same_for_scheduling(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Say whether two versions of a Node look alike to the scheduler, without parsing a quantity."""
    old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
    old_status, new_status = old.get("status") or {}, new.get("status") or {}
    return (
        old["metadata"].get("labels") == new["metadata"].get("labels")
        and old_spec.get("unschedulable") == new_spec.get("unschedulable")
        and old_spec.get("taints") == new_spec.get("taints")
        and old_status.get("allocatable") == new_status.get("allocatable")
        and old_status.get("images") == new_status.get("images")
    )
