"""Ending a container by the signal that its pod names (`lifecycle.stopSignal`), for which CRI v1 of containerd 1.x has
no field: there only an image's own signal counts. So the first signal is sent through containerd's tasks service, and
CRI's StopContainer comes after it, for what has not ended by then.

Neighbours: `driver` calls. Source: KEP-4960.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from actors.kubelet.containerd.proto import tasks_pb2
from actors.kubelet.runtime import NotInRuntime

CALL_S = 10.0  # answered once the kernel has taken the signal

Call = Callable[[str, Any, float | None], Awaitable[Any]]


def number_of(name: str) -> int:
    """Return a signal's number on Linux; real-time ones may be counted, as SIGRTMIN+3. ValueError for no signal."""
    found = re.fullmatch(r"(SIG[A-Z0-9]+)([+-]\d+)?", name)
    if found is None or found[1] not in signal.Signals.__members__:
        raise ValueError(f"{name!r} is no signal")
    return int(signal.Signals[found[1]]) + int(found[2] or 0)


async def end_by(call: Call, container_id: str, name: str, grace_s: float) -> None:
    """Send the signal, and return when the container has ended, or the grace has. NotInRuntime when there is none."""
    await call("Kill", tasks_pb2.KillRequest(container_id=container_id, signal=number_of(name)), CALL_S)
    with contextlib.suppress(TimeoutError, NotInRuntime):
        async with asyncio.timeout(grace_s):
            await call("Wait", tasks_pb2.WaitRequest(container_id=container_id), None)
