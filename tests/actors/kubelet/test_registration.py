"""A Node is registered once, however late the informer is, and again when it is gone."""

import asyncio
from typing import Any

import structlog

from actors.api.config import KubeletConfig
from actors.kubelet.node import Machine, Observation
from actors.kubelet.registration import LEASES, Registration
from runtime.clock import SystemClock
from tests.actors.kubelet.imagined_api import ImaginedApi

MACHINE = Machine({"cpu": "4", "memory": "8Gi", "pods": "110"})


class Seen:
    """What an informer of Nodes has seen, which the test decides."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        return self.nodes.get(key)


class Life:
    """A kubelet's registration, with its status told anew whenever the test says so."""

    def __init__(self) -> None:
        self.api, self.seen, self.faults = ImaginedApi(), Seen(), 0
        self.told: list[tuple[str, str, str]] = []
        self.registration = Registration(
            "w1", MACHINE, KubeletConfig(), {}, [], self._observe, self.seen, self.api,  # type: ignore[arg-type]
            asyncio.Semaphore(8), lambda *event: self.told.append(event), SystemClock(), structlog.get_logger(),
        )  # fmt: skip
        self.registration.settled.set()
        self._status = asyncio.ensure_future(self.registration.keep_status())
        self._lease = asyncio.ensure_future(self.registration.keep_lease())

    async def _observe(self) -> Observation:
        return Observation(self.registration._clock.wall(), (f"fault {self.faults}",))

    async def tell(self) -> None:
        """Something has changed; return when the API has been told."""
        self.faults += 1
        before = self.writes("patch", "nodes")
        self.registration.changed()
        await self.until(lambda: self.writes("patch", "nodes") > before)

    async def until(self, condition) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    def writes(self, verb: str, resource: str) -> int:
        return self.api.writes.count((verb, resource))

    async def end(self) -> None:
        for task in (self._status, self._lease):
            task.cancel()
        await asyncio.gather(self._status, self._lease, return_exceptions=True)


def live(test):
    async def main():
        life = Life()
        try:
            await life.until(lambda: life.writes("patch", "nodes") and life.writes("create", LEASES))
            await test(life)
        finally:
            await life.end()

    def wrapper():
        asyncio.run(main())

    wrapper.__name__ = test.__name__
    return wrapper


@live
async def test_a_node_that_the_informer_has_not_seen_yet_is_not_registered_again(life):
    await life.tell()
    await life.tell()
    assert (life.writes("create", "nodes"), life.writes("create", LEASES)) == (1, 1)
    (made,) = life.api.objects[LEASES].values()
    assert made["metadata"]["ownerReferences"][0]["uid"] == life.api.objects["nodes"]["w1"]["metadata"]["uid"]


@live
async def test_a_node_that_was_deleted_is_registered_again(life):
    life.seen.nodes["w1"] = life.api.objects["nodes"]["w1"]
    await life.tell()
    life.api.drop("nodes", "w1")
    del life.seen.nodes["w1"]
    await life.tell()
    assert life.writes("create", "nodes") == 2


@live
async def test_a_node_that_was_deleted_before_the_informer_saw_it_is_registered_again(life):
    life.api.drop("nodes", "w1")
    await life.tell()
    await life.until(lambda: life.writes("create", "nodes") == 2)


@live
async def test_what_turned_is_told_once(life):
    await life.tell()
    reasons = [reason for _, reason, _ in life.told]
    assert reasons == [
        "Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeNotReady",
    ]  # fmt: skip
    assert life.told[-1] == ("Normal", "NodeNotReady", "Node w1 status is now: NodeNotReady")
