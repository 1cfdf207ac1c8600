"""An SPDY session and the work on its streams, side by side: whichever ends first ends the other.

Neighbours: `connect` serves commands this way.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from actors.api.spdy.connection import SpdyError
from actors.api.spdy.session import Session, SessionEnded
from actors.apiserver.streams.wire import WireClosed


async def run_beside(session: Session, work: Coroutine[Any, Any, None]) -> None:
    """Run the session until `work` is done, or the client is gone."""
    running = asyncio.ensure_future(session.run())
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait([running, working], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, working):
            if task.done():
                task.result()
    except (SpdyError, SessionEnded, WireClosed):
        return
    finally:
        for task in (running, working):
            task.cancel()
        await asyncio.wait([running, working])
