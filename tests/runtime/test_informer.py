"""The copy is true in the end, whatever the watch loses."""

import asyncio
import contextlib

import pytest

from bus import StreamLost
from runtime.clock import SystemClock
from runtime.informer import Expired, Informer, SourceFailed


def obj(name, version, **more):
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}, **more}


class Scripted:
    """A source that follows a script of lists and watches; a watch ends with its last step."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.done = asyncio.Event()

    async def list(self):
        kind, *rest = self._next()
        assert kind == "list"
        if isinstance(rest[0], Exception):
            raise rest[0]
        return {o["metadata"]["name"]: o for o in rest[0]}, rest[1]

    async def watch(self, version):
        if not self.steps:
            self.done.set()
            await asyncio.Event().wait()
        kind, expected, *events = self._next()
        assert (kind, expected) == ("watch", version)
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    def _next(self):
        return self.steps.pop(0)


@contextlib.asynccontextmanager
async def informed(*steps):
    source = Scripted(*steps)
    informer = Informer(source, name="test", clock=SystemClock())
    informer.add_index("color", lambda o: [o["color"]] if "color" in o else [])
    changes = []
    informer.on_change(lambda key, old, new: changes.append((key, old is not None, new is not None)))
    task = asyncio.ensure_future(informer.run())
    async with asyncio.timeout(5):
        await source.done.wait()
    try:
        yield informer, changes
    finally:
        task.cancel()


def test_list_then_changes():
    async def scenario():
        steps = [
            ("list", [obj("a", 1, color="red"), obj("b", 2, color="red")], "5"),
            (
                "watch",
                "5",
                ("a", None, "6"),
                ("c", obj("c", 7, color="blue"), "7"),
                ("b", obj("b", 8, color="blue"), "8"),
            ),
        ]
        async with informed(*steps) as (informer, changes):
            assert sorted(informer.keys()) == ["b", "c"]
            assert sorted(o["metadata"]["name"] for o in informer.by_index("color", "blue")) == ["b", "c"]
            assert informer.by_index("color", "red") == []
            assert changes == [
                ("a", False, True), ("b", False, True), ("a", True, False), ("c", False, True), ("b", True, True),
            ]  # fmt: skip

    asyncio.run(scenario())


def test_a_lost_watch_resumes_where_it_was():
    async def scenario():
        steps = [
            ("list", [obj("a", 1)], "1"),
            ("watch", "1", ("", None, "9"), StreamLost("gone")),
            ("watch", "9", ("b", obj("b", 10), "10")),
        ]
        async with informed(*steps) as (informer, _):
            assert sorted(informer.keys()) == ["a", "b"]
            assert informer.relists == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [Expired("410")])
def test_after_expiry_a_new_list_shows_what_was_deleted_unseen(failure):
    async def scenario():
        steps = [
            ("list", [obj("a", 1, color="red"), obj("b", 2)], "2"),
            ("watch", "2", failure),
            ("list", SourceFailed("away")),
            ("list", [obj("b", 2), obj("c", 3)], "4"),
        ]
        async with informed(*steps) as (informer, changes):
            assert sorted(informer.keys()) == ["b", "c"]
            assert informer.by_index("color", "red") == []
            assert changes[2:] == [("a", True, False), ("c", False, True)]

    asyncio.run(scenario())
