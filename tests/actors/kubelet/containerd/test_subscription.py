"""A subscription is in force when `subscribe` returns, and nothing that came early is lost."""

import asyncio

import pytest
from google.protobuf.any_pb2 import Any

from actors.kubelet.containerd import subscription
from actors.kubelet.containerd.proto import events_pb2, task_events_pb2
from actors.kubelet.runtime import RuntimeUnreachable


def exit_of(container_id: str) -> events_pb2.Envelope:
    payload = task_events_pb2.TaskExit(container_id=container_id, id=container_id).SerializeToString()
    return events_pb2.Envelope(topic="/tasks/exit", event=Any(type_url="containerd.events.TaskExit", value=payload))


class FakeContainerd:
    """Loses what is published before its stream has begun to listen, as containerd does."""

    def __init__(self, deaf_for: int, before_marker: tuple[str, ...] = ()):
        self.deaf_for = deaf_for
        self.before_marker = before_marker
        self.published = 0
        self.closed = False
        self.queue: asyncio.Queue[events_pb2.Envelope | None] = asyncio.Queue()

    async def call(self, method, request, timeout_s):
        assert method == "Publish"
        self.published += 1
        if self.published <= self.deaf_for:
            return
        for container_id in self.before_marker:
            self.queue.put_nowait(exit_of(container_id))
        self.before_marker = ()
        self.queue.put_nowait(events_pb2.Envelope(topic=request.topic, event=request.event))

    async def stream(self, method, request):
        assert any(item.startswith('topic=="/kubus/') for item in request.filters)
        try:
            while (item := await self.queue.get()) is not None:
                yield item
        finally:
            self.closed = True


async def ids(events, count):
    return [(await anext(events)).id for _ in range(count)]


def test_the_marker_is_repeated_until_it_comes_back():
    async def scenario():
        containerd = FakeContainerd(deaf_for=3)
        events = await subscription.subscribe(containerd)
        assert containerd.published >= 4
        containerd.queue.put_nowait(exit_of("a"))
        assert await ids(events, 1) == ["a"]
        await events.aclose()
        assert containerd.closed

    asyncio.run(scenario())


def test_what_came_before_the_marker_is_kept():
    async def scenario():
        containerd = FakeContainerd(deaf_for=0, before_marker=("a", "b"))
        events = await subscription.subscribe(containerd)
        containerd.queue.put_nowait(exit_of("c"))
        assert await ids(events, 3) == ["a", "b", "c"]

    asyncio.run(scenario())


def test_the_end_of_the_stream_is_told():
    async def scenario():
        containerd = FakeContainerd(deaf_for=0)
        events = await subscription.subscribe(containerd)
        containerd.queue.put_nowait(None)
        with pytest.raises(RuntimeUnreachable):
            await anext(events)

    asyncio.run(scenario())


def test_a_containerd_that_sends_nothing_is_unreachable(monkeypatch):
    monkeypatch.setattr(subscription, "DEADLINE_S", 0.1)

    async def scenario():
        containerd = FakeContainerd(deaf_for=10**6)
        with pytest.raises(RuntimeUnreachable, match="no events"):
            await subscription.subscribe(containerd)
        assert containerd.closed

    asyncio.run(scenario())
