"""Who waits for a command: futures of answers, by the index of the entry that holds it.

An entry is known by index and term: another leader's entry may take the place of ours, and then nothing is known of
what became of the command.

Neighbours: `committer` adds, answers and gives up.
"""

import asyncio
from collections.abc import Callable

from actors.state.core import Applied
from actors.state.machine import Outcome
from bus.errors import BusError, RemoteError, Unavailable
from bus.record import Record

Answer = Callable[[Outcome], Record]


class Callers:
    """Futures in the order of the log."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, tuple[int, asyncio.Future[Record], Answer]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, index: int, term: int, answer: Answer) -> "asyncio.Future[Record]":
        future: asyncio.Future[Record] = self._loop.create_future()
        self._waiting[index] = term, future, answer
        return future

    def answer(self, applied: Applied) -> None:
        """Tell whoever waits for a command what it did."""
        found = self._waiting.pop(applied.index, None)
        if found is None:
            return
        term, future, answer = found
        if future.done():  # its caller has given up; the command is applied all the same
            return
        result = applied.outcome.result
        if term != applied.term:
            future.set_exception(Unavailable("another leader's entry took this one's place"))
        elif isinstance(result, RemoteError):
            future.set_exception(result)
        else:
            future.set_result(answer(applied.outcome))

    def give_up(self, error: Callable[[], BusError]) -> None:
        """Tell all of them that they will not be answered, and why."""
        waiting, self._waiting = self._waiting, {}
        for _, future, _ in waiting.values():
            if not future.done():
                future.set_exception(error())
