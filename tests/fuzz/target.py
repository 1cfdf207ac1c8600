"""What fuzzers talk to: the handler of an API server over a state in memory, and what must hold of each of its answers.

Whatever is asked, the answer comes soon, is never 500, and is a Status that says why when it is a refusal. Afterwards
no request is in flight and no task is left.

KUBUS_FUZZ_SCALE multiplies the number of examples, for longer runs than CI's.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
import yaml
from hypothesis import HealthCheck, Phase, settings

from actors.apiserver import reads
from actors.apiserver.call import Answer, ApiCall, StreamAnswer
from actors.apiserver.protobuf import wire
from actors.kubelet.messages import LogsRequest, NodeStat
from bus import Request, Unavailable
from tests.actors.apiserver.api_harness import ADMIN, Api, serving

SCALE = float(os.environ.get("KUBUS_FUZZ_SCALE", "1"))
ANSWER_S = 20.0  # generous: CI's machine may be busy; a hang is for ever
STREAM_S = 0.02  # how long a stream is listened to
REASONS = {  # of a Status, by its code
    400: {"BadRequest"},
    401: {"Unauthorized"},
    403: {"Forbidden"},
    404: {"NotFound"},
    405: {"MethodNotAllowed"},
    406: {"NotAcceptable"},
    409: {"Conflict", "AlreadyExists"},
    410: {"Expired", "Gone"},
    413: {"RequestEntityTooLarge"},
    415: {"UnsupportedMediaType"},
    422: {"Invalid"},
    429: {"TooManyRequests"},
    503: {"ServiceUnavailable"},
    504: {"Timeout"},
}


NO_REPLICAS = (
    b"the spec replicas field"  # Kubernetes calls it an internal error when a custom resource has none to scale
)


def examples(count: int, *phases: Phase) -> Callable:
    """How often a property is tried; `phases` other than the usual."""
    return settings(
        phases=phases or tuple(Phase),
        max_examples=max(1, int(count * SCALE)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=SCALE == 1,  # CI tries the same each time; a longer run looks further
        database=None,
    )


class DeadKubelets:
    """No node answers."""

    async def logs(self, node: str, request: LogsRequest) -> AsyncGenerator[bytes, None]:
        raise Unavailable("no such kubelet")
        yield b""

    def duplex(self, node: str, request: Request) -> Any:
        raise Unavailable("no such kubelet")

    async def ask(self, node: str, request: Request) -> Any:
        raise Unavailable("no such kubelet")

    async def stats(self) -> list[NodeStat]:
        return []


class Target:
    def __init__(self) -> None:
        self.api: Api
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fuzzed", daemon=True)
        self._stack = AsyncExitStack()
        self._tasks_at_start = 0
        self._future_wait_s = reads.FUTURE_WAIT_S

    def __enter__(self) -> "Target":
        self._thread.start()
        self.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(ANSWER_S)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        upgrade: str = "",
        others: tuple[tuple[bytes, bytes], ...] = (),
    ) -> tuple[int, Any]:
        """Ask, check what must hold of every answer, and return (status, body)."""
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        status, said = self.run(self._ask(method, path, raw, content_type, accept, upgrade, others))
        check(status, said, f"{method} {path} {content_type} {raw[:2000]!r}")
        return status, said

    def must(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, said = self.ask(method, path, body, **options)
        assert status < 300, said
        return orjson.loads(said)

    def assert_nothing_is_left(self) -> None:
        """No request is in flight, and no task goes on that did not at the start."""
        self.run(self._assert_nothing_is_left())

    async def _open(self) -> None:
        reads.FUTURE_WAIT_S = 0.02  # fuzzers ask for versions to come all the time, and none comes
        self.api = await self._stack.enter_async_context(serving())
        self.api.server.kubelets = DeadKubelets()
        self._tasks_at_start = len(asyncio.all_tasks())

    async def _close(self) -> None:
        reads.FUTURE_WAIT_S = self._future_wait_s
        await self._stack.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # of the state in memory: what waited for changes that will not come
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _ask(
        self, method: str, path: str, body: bytes, content_type: str, accept: str, upgrade: str, others: tuple
    ) -> tuple[int, bytes]:
        path, _, query = path.partition("?")
        call = ApiCall(
            ADMIN, method, path, query, content_type=content_type, accept=accept, body=body, upgrade=upgrade,
            others=others,
        )  # fmt: skip
        answer = await self.api.handler.handle(call)
        if isinstance(answer, Answer):
            return answer.status, answer.body
        return answer.status, await _listen(answer)

    async def _assert_nothing_is_left(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            while len(asyncio.all_tasks()) > self._tasks_at_start + 1:  # this one
                await asyncio.sleep(0.05)
        limits = self.api.handler.in_flight
        assert (limits.reads, limits.writes, limits.streams) == (0, 0, 0)


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


async def _listen(answer: StreamAnswer) -> bytes:
    """What a stream says at first."""
    heard = []
    try:
        async with asyncio.timeout(STREAM_S):
            async for chunk in answer.chunks:
                heard.append(chunk)
    except TimeoutError:
        pass
    finally:
        await answer.close()
    return b"".join(heard)


def _decoded(said: bytes) -> Any:
    """What an answer says, in whichever encoding."""
    if said.startswith(wire.MAGIC):
        return wire.decode(said)
    return orjson.loads(said) if said.startswith(b"{") else yaml.safe_load(said)


def check(status: int, said: bytes, asked: str) -> None:
    """What must hold of every answer."""
    if status == 500 and NO_REPLICAS in said:
        return
    assert (status == 101 or 200 <= status < 505) and status not in (500, 501, 502), (
        f"{status} {said[:500]!r} to {asked}"
    )
    if status < 400:
        return
    told = _decoded(said)
    assert told["kind"] == "Status" and told["status"] == "Failure", f"{told} to {asked}"
    assert told["code"] == status and told["message"], f"{told} to {asked}"
    assert told["reason"] in REASONS[status], f"{told} to {asked}"
    for cause in (told.get("details") or {}).get("causes") or ():
        assert cause.get("message"), f"{told} to {asked}"
