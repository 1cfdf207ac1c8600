"""Statuses reach the API, and stay what the kubelet says."""

import asyncio
import copy
from typing import Any

import structlog

from actors.api import errors
from actors.kubelet.status.writer import StatusWriter
from tests.actors.kubelet.pods import pod

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


class OnePod:
    """An API that holds one pod."""

    def __init__(self, status: dict[str, Any]):
        self.pod = pod() | {"status": copy.deepcopy(status)}
        self.pod["metadata"]["resourceVersion"] = "1"
        self.patches: list[dict[str, Any]] = []

    def change(self, status: dict[str, Any]) -> dict[str, Any]:
        version = str(int(self.pod["metadata"]["resourceVersion"]) + 1)
        metadata = {**self.pod["metadata"], "resourceVersion": version}
        self.pod = {**self.pod, "metadata": metadata, "status": {**self.pod["status"], **status}}
        return self.pod

    async def patch(self, kind: str, name: str, patch: dict[str, Any], *rest: Any, **more: Any) -> dict[str, Any]:
        self.patches.append(patch)
        return self.change(patch["status"])


def test_a_write_that_breaks_does_not_vanish() -> None:
    """Nobody awaits a write: what is not expected of the API ends the process by the loop's exception handler."""
    heard: list[BaseException] = []

    class Broken(OnePod):
        async def patch(self, kind: str, name: str, patch: dict[str, Any], *rest: Any, **more: Any) -> dict[str, Any]:
            raise TypeError("a mistake")

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["exception"]))
        api = Broken({})
        writer = StatusWriter(api, asyncio.Semaphore(1), structlog.get_logger())  # type: ignore[arg-type]
        writer.submit(api.pod, READY)
        await writer.flushed(api.pod["metadata"]["uid"])
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert [str(error) for error in heard] == ["a mistake"]


def test_what_others_make_of_a_status_is_mended_even_if_it_was_never_written_here() -> None:
    """A kubelet that was restarted found its pod Ready; then the node controller took the node for lost."""
    api = OnePod(READY)

    async def scenario() -> None:
        writer = StatusWriter(api, asyncio.Semaphore(1), structlog.get_logger())  # type: ignore[arg-type]
        writer.submit(api.pod, READY)
        assert api.patches == []
        writer.observe(api.change({"conditions": [{"type": "Ready", "status": "False"}]}))
        await writer.flushed(api.pod["metadata"]["uid"])
        assert api.pod["status"] == READY
        writer.observe(api.pod)
        await writer.flushed(api.pod["metadata"]["uid"])
        assert len(api.patches) == 1

    asyncio.run(scenario())


class Overtaking(OnePod):
    """An API whose watch tells of a write before the write is answered, and in which a node was just taken for lost."""

    def __init__(self, status: dict[str, Any]):
        super().__init__(status)
        self.watched = lambda pod: None

    async def patch(self, kind: str, name: str, patch: dict[str, Any], *rest: Any, **more: Any) -> dict[str, Any]:
        self.patches.append(patch)
        if len(self.patches) == 1:
            self.watched(self.change({"conditions": [{"type": "Ready", "status": "False"}]}))
        answer = self.change(patch["status"])
        self.watched(answer)
        await asyncio.sleep(0)
        return answer


def test_what_others_make_of_a_status_while_it_is_written_is_mended() -> None:
    api = Overtaking(READY)

    async def scenario() -> None:
        writer = StatusWriter(api, asyncio.Semaphore(1), structlog.get_logger())  # type: ignore[arg-type]
        api.watched = writer.observe
        writer.submit(api.pod, READY | {"containerStatuses": [{"name": "c", "restartCount": 1}]})
        await writer.flushed(api.pod["metadata"]["uid"])
        assert api.pod["status"]["conditions"] == READY["conditions"]
        assert len(api.patches) == 2

    asyncio.run(scenario())


class Contrary(OnePod):
    """An API that says the pod has changed, and does not show it."""

    async def patch(self, kind: str, name: str, patch: dict[str, Any], *rest: Any, **more: Any) -> dict[str, Any]:
        self.patches.append(patch)
        await asyncio.sleep(0)
        raise errors.conflict(kind, name, "it has changed")

    async def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        raise errors.internal("not now")


def test_an_api_that_refuses_a_second_look_is_not_asked_without_a_pause() -> None:
    api = Contrary({})

    async def scenario() -> None:
        writer = StatusWriter(api, asyncio.Semaphore(1), structlog.get_logger())  # type: ignore[arg-type]
        writer.submit(api.pod, READY)
        for _ in range(200):  # turns of the loop, in which it could be asked a hundred times
            await asyncio.sleep(0)
        assert len(api.patches) < 10  # pauses double from 5 ms
        writer.forget(api.pod["metadata"]["uid"])

    asyncio.run(scenario())
