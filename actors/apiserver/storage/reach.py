"""Whether the state answers this API server, found out while somebody wants to know.

A watch of the state may stand, and reads be answered by another member, while what is asked of the one that takes
writes gets no answer: the network carries one direction only, or it serves its peers and nobody else. Whoever asks
whether the API server is ready keeps a question under way to the state; what it has come to is the answer, so that
nobody waits for it. Without askers there are no questions.

Neighbours: `health` shows it; balancers ask, and pass over an API server whose state is silent.
"""

import asyncio

from actors.apiserver.storage.client import StateClient
from bus import BusError
from runtime.background import spawn

# A read needs no disk, and most take some milliseconds. Together with a balancer's own pace this is well within the
# second in which clients want to go on; while a group elects, all API servers are in the same plight for a moment.
SILENT_AFTER_S = 0.35
ASK_EVERY_S = 0.15
ATTEMPT_S = 1.0  # then the question is asked anew, over whatever connection there is by then
SILENT = "the state does not answer"


class Reach:
    def __init__(self, state: StateClient) -> None:
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = self._loop.time() - ASK_EVERY_S
        self._wrong = ""

    def wrong(self) -> str:
        """Return what is wrong, as far as is known; empty for nothing."""
        waited_s = self._loop.time() - self._asked_at
        if self._asking is None or self._asking.done():
            if waited_s >= ASK_EVERY_S:
                self._asked_at = self._loop.time()
                self._asking = spawn(self._ask(), "reach of the state")
        elif waited_s >= SILENT_AFTER_S:
            self._wrong = SILENT
        return self._wrong

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await self._state.answers()
        except TimeoutError:
            self._wrong = SILENT
        except BusError as error:
            self._wrong = f"{SILENT}: {error.message}"
        else:
            self._wrong = ""
