"""What fails while nobody awaits it: an actor ends for what broke, and lives on where only a connection did."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
import structlog
import uvloop

from bus import Unavailable
from runtime.background import Listener, spawn


def heard(happen: Callable[[], Any], new_loop: Callable[[], asyncio.AbstractEventLoop]) -> list[BaseException]:
    """Return what an actor would end for when that happens in its loop."""
    failures: list[BaseException] = []

    async def live() -> None:
        asyncio.get_running_loop().set_exception_handler(Listener(failures.append, structlog.get_logger()))
        happen()
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(live())
    return failures


async def fail(error: BaseException) -> None:
    raise error


def begin_and_forget(error: BaseException) -> None:
    asyncio.ensure_future(fail(error))  # noqa: RUF006 - that is the mistake


def call(error: BaseException) -> None:
    asyncio.get_running_loop().call_soon(raising, error)


def raising(error: BaseException) -> None:
    raise error


def complain_of_connection(error: BaseException) -> None:
    context = {"message": "Fatal error", "exception": error, "protocol": object(), "transport": object()}
    asyncio.get_running_loop().call_exception_handler(context)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("happen", "error"),
    [
        (lambda error: spawn(fail(error), "some work"), ValueError("wrong")),
        (lambda error: spawn(fail(error), "some work"), Unavailable("nobody dealt with it")),
        (call, ValueError("wrong")),
        (begin_and_forget, KeyError("not there")),
    ],
)
def test_what_leaves_work_undone_ends_the_process(happen, error, new_loop):
    assert heard(lambda: happen(error), new_loop) == [error]


@pytest.mark.parametrize(
    ("happen", "error"),
    [
        (begin_and_forget, Unavailable("given up")),
        (begin_and_forget, ConnectionResetError()),
        (call, BlockingIOError()),
        (complain_of_connection, KeyError("a peer's bytes")),
    ],
)
def test_what_ends_with_a_connection_or_was_given_up_does_not(happen, error):
    assert heard(lambda: happen(error), uvloop.new_event_loop) == []


def test_a_task_that_is_cancelled_has_not_failed():
    assert heard(lambda: spawn(asyncio.sleep(10), "long").cancel(), uvloop.new_event_loop) == []


def test_a_task_is_kept_until_it_has_ended():
    done: list[bool] = []

    async def work() -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, waiting.set_result, None)
        await waiting
        done.append(True)

    async def live() -> None:
        spawn(work(), "some work")
        gc.collect()
        while not done:
            await asyncio.sleep(0.005)

    asyncio.run(live())
