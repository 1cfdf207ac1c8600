"""A subscription to containerd's events that is known to be in force before anybody relies on it.

containerd acknowledges no subscription: its stream is silent until the first event. So a marker, an event of our own,
is published until it comes back; what came before it is kept. Then the kubelet may `list` and miss nothing.

Neighbours: `driver.events` is the caller, `replies.runtime_event` reads the events.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from google.protobuf.any_pb2 import Any as AnyMessage

from actors.kubelet.containerd.proto import events_pb2
from actors.kubelet.containerd.replies import runtime_event
from actors.kubelet.runtime import RuntimeEvent, RuntimeUnreachable

TOPICS = ("/tasks/start", "/tasks/exit", "/tasks/oom", "/containers/delete")
DEADLINE_S = 10.0  # until the marker has come back: milliseconds, unless containerd is overwhelmed
REPEAT_S = 0.02  # between two markers


class Events(Protocol):
    """What is needed of `rpc.Connection`."""

    async def call(self, method: str, request: Any, timeout_s: float) -> Any: ...

    def stream(self, method: str, request: Any) -> AsyncGenerator[Any, None]: ...


async def subscribe(connection: Events) -> AsyncGenerator[RuntimeEvent, None]:
    """Return the events from now on; the iterator ends with RuntimeUnreachable. Close it when done."""
    marker = f"/kubus/{uuid.uuid4().hex}"
    filters = [f'topic=="{topic}"' for topic in (*TOPICS, marker)]
    stream = connection.stream("Subscribe", events_pb2.SubscribeRequest(filters=filters))
    try:
        async with asyncio.timeout(DEADLINE_S):
            early = await _until_marked(connection, stream, marker)
    except BaseException as error:
        await stream.aclose()
        if isinstance(error, TimeoutError):
            raise RuntimeUnreachable("containerd answers calls but sends no events") from error
        raise
    return _events(stream, early)


async def _until_marked(
    connection: Events, stream: AsyncGenerator[Any, None], marker: str
) -> list[events_pb2.Envelope]:
    """Publish the marker until it comes; returns the events that came before it."""
    early: list[events_pb2.Envelope] = []
    publish = events_pb2.PublishRequest(topic=marker, event=AnyMessage(type_url="kubus.Marker", value=b""))
    while True:
        coming = asyncio.ensure_future(anext(stream))
        try:
            while not coming.done():
                await connection.call("Publish", publish, DEADLINE_S)
                await asyncio.wait([coming], timeout=REPEAT_S)
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait([coming])
        try:
            envelope = coming.result()
        except StopAsyncIteration as error:
            raise RuntimeUnreachable("containerd closed its event stream") from error
        if envelope.topic == marker:
            return early
        early.append(envelope)


async def _events(
    stream: AsyncGenerator[Any, None], early: Sequence[events_pb2.Envelope]
) -> AsyncGenerator[RuntimeEvent, None]:
    async with contextlib.aclosing(stream):
        for envelope in early:
            event = runtime_event(envelope)
            if event is not None:
                yield event
        async for envelope in stream:
            event = runtime_event(envelope)
            if event is not None:
                yield event
    raise RuntimeUnreachable("containerd closed its event stream")
