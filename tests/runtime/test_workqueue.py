"""The queue's promises: no key twice at once, nothing lost, the earliest time wins."""

import asyncio

import pytest

from runtime.clock import SystemClock
from runtime.workqueue import RetryLimiter, ShutDown, WorkQueue


def run(scenario):
    return asyncio.run(scenario)


def test_a_waiting_key_is_there_once():
    async def scenario():
        queue = WorkQueue(SystemClock())
        queue.add("a")
        queue.add("a")
        queue.add("b")
        assert [await queue.get(), await queue.get(), len(queue)] == ["a", "b", 0]

    run(scenario())


def test_a_key_added_while_it_is_worked_on_comes_again_when_done_and_not_before():
    async def scenario():
        queue = WorkQueue(SystemClock())
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"

    run(scenario())


def test_of_two_delays_the_earlier_counts():
    async def scenario():
        queue = WorkQueue(SystemClock())
        queue.add_after("a", 60)
        queue.add_after("a", 0.01)
        queue.add_after("a", 30)
        async with asyncio.timeout(2):
            assert await queue.get() == "a"

    run(scenario())


def test_every_waiter_gets_a_key_even_when_one_is_cancelled():
    async def scenario():
        queue = WorkQueue(SystemClock())
        waiters = [asyncio.ensure_future(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.add("a")
        waiters[0].cancel()
        queue.add("b")
        async with asyncio.timeout(2):
            got = await asyncio.gather(*waiters, return_exceptions=True)
        assert {key for key in got if isinstance(key, str)} == {"a", "b"}

    run(scenario())


def test_shutting_down_wakes_those_who_wait():
    async def scenario():
        queue = WorkQueue(SystemClock())
        waiter = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.shut_down()
        with pytest.raises(ShutDown):
            await waiter

    run(scenario())


def test_delays_double_up_to_a_limit_and_start_anew_after_success():
    limiter = RetryLimiter(0.005, 1.0)
    assert [limiter.delay_s("a") for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    assert [limiter.delay_s("a") for _ in range(100)][-1] == 1.0
    limiter.forget("a")
    assert limiter.delay_s("a") == 0.005
