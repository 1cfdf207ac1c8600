"""Who gets the next slot for a start, and that none is lost."""

import asyncio

from actors.kubelet.slots import Slots


def test_what_is_nearer_to_its_end_goes_first_and_the_older_before_the_younger():
    done: list[str] = []

    async def one(slots: Slots, rank: int, name: str) -> None:
        async with slots.of(rank):
            done.append(name)

    async def scenario() -> None:
        slots = Slots(1)
        async with slots.of(0):
            waiting = [
                asyncio.ensure_future(one(slots, rank, name))
                for rank, name in ((2, "sandbox 1"), (2, "sandbox 2"), (0, "start"), (1, "create"))
            ]
            await asyncio.sleep(0)
            assert done == []
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
    assert done == ["start", "create", "sandbox 1", "sandbox 2"]


def test_who_lets_go_while_it_waits_or_the_moment_its_turn_comes_keeps_no_slot():
    async def scenario() -> None:
        slots = Slots(1)

        async def hold() -> None:
            async with slots.of(0):
                await asyncio.sleep(3600)

        first, early, late, last = (asyncio.ensure_future(hold()) for _ in range(4))
        await asyncio.sleep(0)
        early.cancel()
        first.cancel()
        await asyncio.sleep(0)  # the first has given its slot to the third, which does not know yet
        late.cancel()
        await asyncio.wait([first, early, late])
        assert not last.done()
        last.cancel()
        await asyncio.wait([last])
        async with asyncio.timeout(1), slots.of(0):
            pass

    asyncio.run(scenario())


def test_it_is_calm_when_no_slot_is_taken():
    async def scenario() -> None:
        slots = Slots(2)
        assert slots.calm.is_set()
        async with slots.of(0):
            async with slots.of(0):
                assert not slots.calm.is_set()
                waiting = asyncio.ensure_future(slots.of(0).__aenter__())
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            assert not slots.calm.is_set()
        assert slots.calm.is_set()

    asyncio.run(scenario())
