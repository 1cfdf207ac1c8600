"""The sending end of a stream: pulls records from a handler's generator no faster than its reader grants credit.

Credit is in bytes, an item costs its body and `ITEM_COST_BYTES`. A record is pulled only while credit is left, so the
handler itself is held back and nothing piles up here. An idle stream says ALIVE now and then: the reader learns that
its peer lives, and this end learns that its reader is gone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from bus import frames
from bus.errors import BusError
from bus.frames import Kind
from bus.record import Record, encode

ITEM_COST_BYTES = 64  # so that tiny items are bounded too
ALIVE_EVERY_S = 5.0  # of silence; the reader gives up after three such times
MAX_WINDOW_BYTES = 64 * 1024 * 1024  # of credit, whatever the reader grants

Send = Callable[[tuple[bytes, bytes]], bool]


class OutStream:
    def __init__(self, items: AsyncIterator[Record], message_id: str, send: Send, window_bytes: int):
        self._items = items
        self._id = message_id
        self._send = send
        self._credit = min(window_bytes, MAX_WINDOW_BYTES)
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._quiet = True
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._item_header = frames.pack(Kind.ITEM, message_id)

    def start(self, on_end: Callable[[BaseException | None], None]) -> None:
        """Begin to send; `on_end` learns of the end, and of the exception if the handler broke an invariant."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        pulse = loop.create_task(self._say_alive())

        def ended(task: asyncio.Task[None]) -> None:
            pulse.cancel()
            failure = None if task.cancelled() else task.exception()
            on_end(failure)

        self._task.add_done_callback(ended)

    def grant(self, more_bytes: int) -> None:
        self._credit = min(self._credit + more_bytes, MAX_WINDOW_BYTES)
        if self._credit > 0:
            self._may_send.set()

    def cancel(self) -> None:
        """End it. Only the first call counts: a second one would end what the handler does to clean up."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async for record in self._items:
                if not self._put(encode(record)):
                    return
                if self._credit <= 0:
                    self._may_send.clear()
                    await self._may_send.wait()
            self._send((frames.pack(Kind.END, self._id), b""))
        except BusError as error:
            self._send((frames.pack(Kind.ERROR, self._id), frames.pack_error(error)))
        except Exception:
            self._send((frames.pack(Kind.ERROR, self._id), frames.pack_error(BusError("the stream's source failed"))))
            raise
        finally:
            await self._items.aclose()  # type: ignore[attr-defined]

    def _put(self, body: bytes) -> bool:
        self._credit -= len(body) + ITEM_COST_BYTES
        self._quiet = False
        return self._send((self._item_header, body))

    async def _say_alive(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            if self._quiet and not self._send((frames.pack(Kind.ALIVE, self._id), b"")):
                self.cancel()
                return
            self._quiet = True
