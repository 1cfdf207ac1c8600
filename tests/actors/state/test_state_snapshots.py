"""From whom a member fetches the state when leaders come and go."""

import asyncio
from types import SimpleNamespace

import structlog

from actors.state import snapshots
from actors.state.raft.records import InstallSnapshot
from actors.state.snapshots import Snapshots
from bus import Unavailable
from runtime.clock import ManualClock


class Fetches(Snapshots):
    """Records whom it asks; what becomes of a fetch is the test's to say."""

    def __init__(self, clock, name="m3", every_bytes=1):
        members = SimpleNamespace(votes=dict.fromkeys(("m1", "m2", "m3"), True))
        node = SimpleNamespace(name=name, members=members, term=1, log=SimpleNamespace(commit=0), progress={})
        self.installed = []
        committer = SimpleNamespace(
            core=SimpleNamespace(node=node),
            storage=SimpleNamespace(snapshot_bytes=0),
            install=lambda leader, offer, received: self.installed.append((leader, offer.term, received)),
        )
        spawn = lambda work, name: asyncio.get_running_loop().create_task(work)  # noqa: E731
        super().__init__(committer, None, None, every_bytes, spawn=spawn, log=structlog.get_logger(), clock=clock)
        self.asked = []
        self.given = None

    async def _receive(self, leader):
        self.asked.append(leader)
        self.given = asyncio.get_running_loop().create_future()
        return await self.given

    def offered_by(self, leader, term):
        self.fetch(leader, InstallSnapshot(term, 10, 1, {}))


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_fetch_from_a_leader_that_hangs_is_given_up_for_its_successor():
    async def scenario():
        fetches = Fetches(ManualClock())
        fetches.offered_by("m1", 1)
        await turns()
        hanging = fetches.given
        fetches.offered_by("m1", 1)  # again, as leaders do: it is on its way
        await turns()
        assert fetches.asked == ["m1"]
        fetches.offered_by("m2", 2)
        await turns()
        assert (hanging.cancelled(), fetches.asked) == (True, ["m1", "m2"])
        fetches.given.set_result("state")
        await turns()
        assert fetches.installed == [("m2", 2, "state")]

    asyncio.run(scenario())


def test_a_fetch_that_failed_is_tried_again_after_a_pause_but_at_once_from_a_new_leader():
    async def scenario():
        clock = ManualClock()
        fetches = Fetches(clock)
        fetches.offered_by("m1", 1)
        await turns()
        fetches.given.set_exception(Unavailable("gone"))
        await turns()
        fetches.offered_by("m1", 1)
        fetches.tick()
        await turns()
        assert fetches.asked == ["m1"]
        clock.advance(snapshots.FETCH_AGAIN_S)
        fetches.tick()
        await turns()
        assert fetches.asked == ["m1", "m1"], "the offer was remembered, though the leader does not repeat it"
        fetches.given.set_exception(Unavailable("gone"))
        await turns()
        fetches.offered_by("m2", 2)
        await turns()
        assert fetches.asked == ["m1", "m1", "m2"]

    asyncio.run(scenario())


def test_members_take_theirs_at_different_lengths_of_the_log():
    async def scenario():
        return [Fetches(ManualClock(), name, 1_200)._due_bytes for name in ("m1", "m2", "m3")]

    assert asyncio.run(scenario()) == [1_200, 1_400, 1_600]
