"""An API server whose state never answers is not ready for long, though nothing says that anything broke."""

import asyncio

from actors.apiserver.storage import reach
from actors.apiserver.storage.reach import SILENT, SILENT_AFTER_S, Reach
from bus import Unavailable

LIMIT_S = 10.0


class State:
    def __init__(self):
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error = None
        self.asked = 0

    async def answers(self):
        self.asked += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error


async def until(reach, wanted):
    async with asyncio.timeout(LIMIT_S):
        while not (reach.wrong() == wanted or (wanted and reach.wrong().startswith(wanted))):
            await asyncio.sleep(0.005)


def test_a_state_that_is_silent_is_noticed_and_its_return_too(monkeypatch):
    monkeypatch.setattr(reach, "ATTEMPT_S", 0.5)

    async def main():
        state = State()
        found = Reach(state)
        assert found.wrong() == ""
        await until(found, "")
        state.may_answer.clear()
        begin = asyncio.get_running_loop().time()
        await until(found, SILENT)
        assert asyncio.get_running_loop().time() - begin >= SILENT_AFTER_S
        asked = state.asked
        async with asyncio.timeout(LIMIT_S):
            while state.asked == asked:  # a question that was lost is asked anew
                assert found.wrong() == SILENT
                await asyncio.sleep(0.005)
        state.may_answer.set()
        await until(found, "")
        state.error = Unavailable("nobody listens")
        await until(found, f"{SILENT}: nobody")

    asyncio.run(main())


def test_nobody_is_asked_while_nobody_wants_to_know():
    async def main():
        state = State()
        found = Reach(state)
        for _ in range(50):
            found.wrong()
            await asyncio.sleep(0)
        assert state.asked == 1, "one question serves all who ask at a time"

    asyncio.run(main())
