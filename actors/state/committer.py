"""Group commit: commands that arrive while the disk is busy are written together with the next sync.

One loop takes a `Ready` from the core, puts it on disk in a thread, and answers; meanwhile the actor goes on reading
and taking proposals. Answers come in the order of the log, after the disk has the entries. A snapshot is taken when the
log has grown enough; it is written in another thread.

A full disk is an alarm, not an end: what was proposed is refused with NO_SPACE, and so is everything until the log
finds room again, which is tried every second. A disk that fails in any other way ends the actor: what the file then
holds is known only after reading it anew.

Neighbours: `core` decides, `storage` persists, `actor` runs it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from actors.state import errors, image
from actors.state.commands import Command
from actors.state.core import Applied, Core, Ready
from actors.state.damage import NoSpace
from actors.state.disk_thread import DiskThread
from actors.state.machine import Outcome
from actors.state.storage import Storage
from bus.errors import RemoteError, Unavailable
from bus.record import Record
from runtime import failpoint
from runtime.clock import Clock

ROOM_CHECK_S = 1.0  # how often a full disk is asked for room: somebody must free some by hand, so seconds do
SYNC_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

Answer = Callable[[Outcome], Record]


class Committer:
    """Takes commands, returns futures of their answers."""

    def __init__(
        self,
        core: Core,
        storage: Storage,
        *,
        snapshot_every_bytes: int,
        spawn: Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"],
        log: Any,
        clock: Clock,
        metrics: CollectorRegistry,
    ):
        self.core = core
        self.storage = storage
        self.alarm: str | None = None  # why writes are refused
        self._snapshot_every_bytes = snapshot_every_bytes
        self._snapshot_at_bytes = self._next_snapshot_bytes()
        self._snapshot: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[Applied], None]] = []  # told of each applied command before it is answered
        self._spawn = spawn
        self._log = log
        self._clock = clock
        self._waiting: dict[int, tuple[asyncio.Future[Record], Answer]] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closing = False
        self._loop = asyncio.get_running_loop()
        self._disk = DiskThread()
        self._sync_s = Histogram("state_sync_seconds", "Write and sync of a batch", buckets=SYNC_BUCKETS_S,
                                 registry=metrics)  # fmt: skip
        self._batch = Histogram("state_batch_entries", "Entries of a batch", buckets=BATCH_BUCKETS, registry=metrics)

    def propose(self, command: Command, answer: Answer) -> asyncio.Future[Record]:
        """Return the future of an answer. Refused at once: NO_SPACE, REQUEST_TOO_LARGE, Overloaded, Unavailable."""
        if self.alarm is not None:
            raise errors.no_space(self.alarm)
        if self._is_closing:
            raise Unavailable("the state actor is stopping")
        index = self.core.propose(command)
        future: asyncio.Future[Record] = self._loop.create_future()
        self._waiting[index] = future, answer
        self._idle.clear()
        self._work.set()
        return future

    async def run(self) -> None:
        """Commit for ever. If the disk fails, nothing more is taken."""
        try:
            await self._run()
        finally:
            self._is_closing = True
            self._idle.set()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while (ready := self.core.ready()) is not None:
                await self._commit(ready)
            self._idle.set()
            while self.alarm is not None:
                await asyncio.sleep(ROOM_CHECK_S)
                await self._look_for_room()

    async def close(self) -> None:
        """Take no more commands, finish those that were taken, close the files."""
        self._is_closing = True
        await self._idle.wait()
        if self._snapshot is not None:
            await self._snapshot
        await self._disk.do(self.storage.close)
        self._disk.close()

    async def _commit(self, ready: Ready) -> None:
        failpoint.passing("state.before_persist")
        begin_s = self._clock.monotonic()
        try:
            await self._disk.do(self.storage.append, ready.entries)
        except NoSpace as error:
            self._refuse(ready, str(error))
            return
        failpoint.passing("state.persisted")
        self._sync_s.observe(self._clock.monotonic() - begin_s)
        self._batch.observe(len(ready.entries))
        for applied in self.core.advance(ready):
            for listener in self.listeners:
                listener(applied)
            self._answer(applied)
        if self.storage.log.size_bytes > self._snapshot_at_bytes and self._snapshot is None:
            self._snapshot = self._spawn(self._take_snapshot(), "snapshot")
            self._snapshot.add_done_callback(self._on_snapshot_done)

    def _answer(self, applied: Applied) -> None:
        future, answer = self._waiting.pop(applied.index)
        if future.done():  # its caller has given up; the command is applied all the same
            return
        if isinstance(applied.outcome.result, RemoteError):
            future.set_exception(applied.outcome.result)
        else:
            future.set_result(answer(applied.outcome))

    def _refuse(self, ready: Ready, reason: str) -> None:
        """The disk is full: nothing that was proposed has happened, and nothing is taken until there is room."""
        self.alarm = reason
        refused = self.core.abandon(ready)
        self._log.error("no space: refusing writes", reason=reason, refused=len(refused))
        for index in refused:
            future, _ = self._waiting.pop(index)
            if not future.done():
                future.set_exception(errors.no_space(reason))

    async def _look_for_room(self) -> None:
        try:
            await self._disk.do(self.storage.log.make_room)
        except NoSpace as error:
            self.alarm = str(error)
        else:
            self.alarm = None
            self._log.info("there is room again: taking writes")

    async def _take_snapshot(self) -> None:
        begin_s = self._clock.monotonic()
        taken = image.capture(self.core.machine, self.core.term)
        held_s = self._clock.monotonic() - begin_s
        try:
            size_bytes = await self._loop.run_in_executor(None, self.storage.save, taken)
        except NoSpace as error:
            self._snapshot_at_bytes = self.storage.log.size_bytes + self._snapshot_every_bytes // 4
            self._log.warning("no space for a snapshot; the log grows meanwhile", reason=str(error))
            return
        await self._disk.do(self.storage.release, taken, size_bytes)
        self._snapshot_at_bytes = self._next_snapshot_bytes()
        took_s = round(self._clock.monotonic() - begin_s, 3)
        fields = {"index": taken.head.applied, "bytes": size_bytes, "held_ms": round(held_s * 1000, 1)}
        self._log.info("snapshot taken", took_s=took_s, **fields)

    def _next_snapshot_bytes(self) -> int:
        """Return the size of the log at which a snapshot is due: not more often than writing it is worth."""
        return max(self._snapshot_every_bytes, self.storage.snapshot_bytes // 2)

    def _on_snapshot_done(self, task: "asyncio.Task[None]") -> None:
        self._snapshot = None
