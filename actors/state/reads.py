"""Reads that wait until they may be answered: all that come in one turn share one question to the leader.

A read is linearizable once this member has applied everything that was committed when it was asked. How far that is,
the leader says, after a round that shows that it still leads. A question may get lost with a leader or a connection;
it is asked again for a while, then the reader hears that there is no leader and may try elsewhere.

Neighbours: `committer` hands over what Raft answers, and ticks; `service` waits.
"""

import asyncio
import itertools
from dataclasses import dataclass

from actors.state.core import Core
from bus.errors import Unavailable
from runtime.clock import Clock

ASK_AGAIN_S = 0.3  # without an answer: longer than a round takes, shorter than an election
PATIENCE_S = 1.5  # of one read; an election takes less where a majority is there
Waiting = list["asyncio.Future[None]"]


@dataclass(slots=True)
class _Question:
    waiting: Waiting
    since_s: float  # when the first of them came
    asked_s: float = 0.0


class Reads:
    """Futures that are done when a read may go ahead."""

    def __init__(self, core: Core, clock: Clock):
        self._core = core
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._contexts = itertools.count(1)
        self._new: Waiting = []
        self._unasked: list[_Question] = []
        self._asked: dict[int, _Question] = {}
        self._applying: list[tuple[int, Waiting]] = []  # (index, who waits for it), in no order

    def wait(self) -> "asyncio.Future[None]":
        """Return the future of a read that begins now."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._new.append(future)
        return future

    def ask(self) -> None:
        """Put one question for all that came since the last one."""
        if self._new:
            question = _Question(self._new, self._clock.monotonic())
            self._new = []
            self._ask(question)

    def tick(self) -> None:
        """Ask again what got no answer, and give up on what has waited too long."""
        if not (self._asked or self._unasked):
            return
        now_s = self._clock.monotonic()
        late = [context for context, question in self._asked.items() if now_s - question.asked_s > ASK_AGAIN_S]
        for context in late:
            self._core.node.forget_read(context)
            self._unasked.append(self._asked.pop(context))
        again, self._unasked = self._unasked, []
        for question in again:
            if now_s - question.since_s > PATIENCE_S:
                _fail(question.waiting)
            else:
                self._ask(question)

    def answered(self, context: int, index: int) -> None:
        """Raft says where a read may begin."""
        question = self._asked.pop(context, None)
        if question is not None:
            self._applying.append((index, question.waiting))

    def lost(self, context: int) -> None:
        """Raft says that there is nobody to ask now."""
        question = self._asked.pop(context, None)
        if question is not None:
            self._unasked.append(question)

    def applied(self, index: int) -> None:
        """Everything up to an entry is applied: let the reads that waited for it go ahead."""
        if not self._applying:
            return
        still = []
        for wanted, waiting in self._applying:
            if wanted > index:
                still.append((wanted, waiting))
                continue
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        self._applying = still

    def _ask(self, question: _Question) -> None:
        context = next(self._contexts)
        question.asked_s = self._clock.monotonic()
        self._asked[context] = question
        self._core.read(context)


def _fail(waiting: Waiting) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(Unavailable("the state has no leader at the moment"))
