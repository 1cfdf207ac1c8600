"""A node's network is made when it can be, and again after whatever went wrong."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import structlog

from actors.kubelet.faults import RuntimeFault, RuntimeRefused, RuntimeUnreachable
from actors.kubelet.node_network import WAITING, NodeNetwork, cidrs_of
from runtime.virtual_time import run

NODE = {"spec": {"podCIDR": "10.0.0.0/24"}}


class World:
    def __init__(self) -> None:
        self.node: dict[str, Any] | None = None
        self.is_reachable = True
        self.faults: list[RuntimeFault] = []  # of the next attempts
        self.made: list[Sequence[str]] = []
        self.told: list[str] = []
        self.network = NodeNetwork(
            "w1", self.make, lambda: self.node, lambda: self.is_reachable, self.changed, structlog.get_logger()
        )

    async def make(self, cidrs: Sequence[str]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.made.append(cidrs)

    def changed(self) -> None:
        self.told.append(self.network.fault)

    async def look(self) -> None:
        self.network.look()
        await asyncio.sleep(20)


def played(play: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        world = World()
        keeping = asyncio.ensure_future(world.network.keep())
        await play(world)
        keeping.cancel()

    run(main())


def test_it_is_made_once_and_again_when_the_runtime_was_away() -> None:
    async def play(world: World) -> None:
        await world.look()
        assert (world.made, world.network.fault) == ([], WAITING)
        world.node = NODE
        await world.look()
        await world.look()
        assert (world.made, world.told) == ([("10.0.0.0/24",)], [""])
        world.is_reachable = False
        await world.look()
        world.is_reachable = True
        await world.look()
        assert (len(world.made), world.told) == (2, [""])

    played(play)


@pytest.mark.parametrize(
    ("fault", "told"), [(RuntimeRefused("no bridge"), ["no bridge", ""]), (RuntimeUnreachable("slow"), [""])]
)
def test_one_call_that_fails_is_not_the_last(fault: RuntimeFault, told: list[str]) -> None:
    """A runtime that was only slow once is not seen to come back: nothing else would ask again."""

    async def play(world: World) -> None:
        world.node, world.faults = NODE, [fault, fault]
        await world.look()
        assert (len(world.made), world.told) == (1, told)

    played(play)


def test_networks_of_a_node() -> None:
    assert cidrs_of(None) == cidrs_of({"spec": {}}) == ()
    assert cidrs_of({"spec": {"podCIDR": "a", "podCIDRs": ["a", "b"]}}) == ("a", "b")
