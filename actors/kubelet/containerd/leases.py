"""What a containerd that died was making: its leases, which keep that for a day.

While containerd makes a container or pulls an image, a lease keeps the parts from its own garbage collection. One that
dies in between leaves the lease, and with it a snapshot that belongs to nothing, until the lease expires after a day.
Nobody takes up what it was making, so the next one may forget it at once.

A containerd lets go of its own leases itself. Which are of an earlier one, the socket tells: it is as old as the
process that listens on it.

Neighbours: `driver` has them ended when containerd is back.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from actors.kubelet.containerd.proto import leases_pb2 as leases
from actors.kubelet.runtime import NotInRuntime, RuntimeUnreachable

DEADLINE_S = 60.0  # the last removal returns when the garbage is gone

Call = Callable[[str, Any, float | None], Awaitable[Any]]


async def end_left(call: Call, socket: Path) -> list[str]:
    """End the leases of containerds before the one that listens on a socket; return their ids. Raises RuntimeFault."""
    try:
        begun_ns = socket.stat().st_mtime_ns
    except FileNotFoundError as error:
        raise RuntimeUnreachable(f"containerd does not listen at {socket}") from error
    found = await call("List", leases.ListRequest(), DEADLINE_S)
    left = left_of(found.leases, begun_ns)
    for identity in left:
        with contextlib.suppress(NotInRuntime):  # it has expired
            await call("Delete", leases.DeleteRequest(id=identity, sync=identity == left[-1]), DEADLINE_S)
    return left


def left_of(found: Iterable[Any], begun_ns: int) -> list[str]:
    """Return the ids of those that are older than a containerd which began then."""
    return [item.id for item in found if item.created_at.ToNanoseconds() < begun_ns]
