"""What a Node says it has, and what of it pods get."""

from typing import Any

from actors.kubelet.node import Machine, Observation, allocatable, node_status, reserved, told_of

CAPACITY = {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "pods": "110", "hugepages-2Mi": "1Gi"}


def test_what_is_kept_from_pods() -> None:
    kept = reserved(CAPACITY, {"cpu": "500m"}, {"memory.available": "1Gi", "nodefs.available": "10%"})
    left = allocatable(Machine(CAPACITY, kept))
    assert left == CAPACITY | {"cpu": "3500m", "memory": "6Gi", "ephemeral-storage": "90Gi"}


def status(previous: dict[str, Any]) -> dict[str, Any]:
    return node_status("w1", Machine({"cpu": "1"}), Observation(0.0), previous)


def test_extended_resources_that_somebody_wrote_are_handed_out_and_taken_back() -> None:
    made = status({"capacity": {"cpu": "9", "example.com/dongle": "4"}})
    assert made["capacity"] == {"cpu": "1", "example.com/dongle": "4"}
    assert made["allocatable"] == {"cpu": "1", "example.com/dongle": "4"}
    made = status({"capacity": {"cpu": "1"}, "allocatable": {"cpu": "1", "example.com/dongle": "4"}})
    assert made["allocatable"] == {"cpu": "1", "example.com/dongle": None}


def test_a_machine_that_was_booted_anew_says_so() -> None:
    before, after = ({"nodeInfo": {"bootID": boot}} for boot in ("a", "b"))
    assert told_of("w1", before, after) == [("Warning", "Rebooted", "Node w1 has been rebooted, boot id: b")]
    assert told_of("w1", {}, after) == told_of("w1", after, after) == []


def test_a_pressure_that_comes_and_goes_is_told() -> None:
    calm, pressed = ({"conditions": [{"type": "MemoryPressure", "status": value}]} for value in ("False", "True"))
    assert [reason for _, reason, _ in told_of("w1", calm, pressed)] == ["NodeHasInsufficientMemory"]
    assert [reason for _, reason, _ in told_of("w1", pressed, calm)] == ["NodeHasSufficientMemory"]


def test_swap_is_told_where_there_is_any() -> None:
    with_swap, without = (
        node_status("w1", Machine(CAPACITY, swap_bytes=size), Observation(0.0), {})["nodeInfo"] for size in (7, 0)
    )
    assert (with_swap["swap"], "swap" in without) == ({"capacity": 7}, False)
