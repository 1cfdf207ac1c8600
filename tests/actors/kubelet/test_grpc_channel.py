"""The node's gRPC client against grpcio's server: answers, refusals, deadlines, large messages, lost servers."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from actors.kubelet.grpc_channel import STREAM_WINDOW_BYTES, Channel
from actors.kubelet.grpc_wire import CallFailed

LIMIT_BYTES = 8 << 20


class Service(grpc.GenericRpcHandler):
    """Methods that do as their names say."""

    def __init__(self) -> None:
        self.sent = 0  # messages of `many`
        self.begun, self.left = asyncio.Event(), asyncio.Event()  # `hang` or `many`
        self.seen: dict[str, Any] = {}

    def service(self, handler_call_details: Any) -> Any:
        method = getattr(self, handler_call_details.method.rpartition("/")[2], None)
        self.seen = dict(handler_call_details.invocation_metadata)
        if method is None:
            return None
        if method == self.many:
            return grpc.unary_stream_rpc_method_handler(method)
        return grpc.unary_unary_rpc_method_handler(method)

    async def echo(self, request: bytes, context: Any) -> bytes:
        return request

    async def size(self, request: bytes, context: Any) -> bytes:
        return str(len(request)).encode()

    async def large(self, request: bytes, context: Any) -> bytes:
        return b"x" * int(request)

    async def refuse(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, 'no "ä" here:\n100 %')
        return b""

    async def hang(self, request: bytes, context: Any) -> bytes:
        self.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.left.set()
        return b""

    async def many(self, request: bytes, context: Any) -> Any:
        """Yield so many messages of so many bytes each, then fail if there is a third word."""
        count, size, *fails = request.split()
        try:
            for _ in range(int(count)):
                yield b"m" * int(size)
                self.sent += 1
            if fails:
                await context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")
        finally:
            self.left.set()


async def _serving(path: Path, service: Service) -> aio.Server:
    server = aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    return server


def with_server(tmp_path: Path, scenario: Callable[[Channel, Service, aio.Server], Awaitable[None]]) -> None:
    async def main() -> None:
        service = Service()
        server = await _serving(tmp_path / "s", service)
        channel = Channel.unix(str(tmp_path / "s"), LIMIT_BYTES)
        try:
            async with asyncio.timeout(30):
                await scenario(channel, service, server)
        finally:
            await channel.close()
            await server.stop(None)

    asyncio.run(main())


def call(channel: Channel, method: str, request: bytes = b"", timeout_s: float | None = 20) -> Awaitable[bytes]:
    return channel.unary(f"/test.Service/{method}", request, timeout_s, (("containerd-namespace", "k8s.io"),))


async def failure_of(awaitable: Awaitable[Any]) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        await awaitable
    return failed.value


def test_answers_of_all_sizes_of_many_calls_at_once(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        assert await call(channel, "echo", b"hello") == b"hello"
        assert service.seen["containerd-namespace"] == "k8s.io"
        assert await call(channel, "echo") == b""
        sizes = [0, 1, 16_384, 65_535, 65_536, 5 << 20]
        answers = await asyncio.gather(*(call(channel, "large", str(size).encode()) for size in sizes * 3))
        assert [len(answer) for answer in answers] == sizes * 3
        told = await asyncio.gather(*(call(channel, "size", b"y" * size) for size in sizes * 3))
        assert [int(answer) for answer in told] == sizes * 3

    with_server(tmp_path, scenario)


def test_refusals_come_with_their_words(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        failure = await failure_of(call(channel, "refuse"))
        assert (failure.code, failure.details) == ("NOT_FOUND", 'no "ä" here:\n100 %')
        assert (await failure_of(call(channel, "missing"))).code == "UNIMPLEMENTED"
        assert (await failure_of(call(channel, "large", str(LIMIT_BYTES + 1).encode()))).code == "RESOURCE_EXHAUSTED"
        assert await call(channel, "echo", b"still there") == b"still there"

    with_server(tmp_path, scenario)


def test_a_deadline_and_a_caller_that_goes_end_the_call_at_the_server_too(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        for timeout_s in (0.5, None):
            service.begun.clear()
            service.left.clear()
            calling = asyncio.ensure_future(call(channel, "hang", timeout_s=timeout_s))
            await service.begun.wait()
            assert await call(channel, "echo", b"beside it") == b"beside it"
            if timeout_s is None:
                calling.cancel()
            else:
                assert (await failure_of(calling)).code == "DEADLINE_EXCEEDED"
            await service.left.wait()
        assert await call(channel, "echo", b"after it") == b"after it"

    with_server(tmp_path, scenario)


def test_a_stream_is_held_back_by_its_reader_and_holds_back_nobody_else(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        count, size = 400, 50_000
        stream = channel.stream("/test.Service/many", b"%d %d" % (count, size))
        assert len(await anext(stream)) == size
        before = -1
        while service.sent != before:  # until it is full
            before = service.sent
            for _ in range(20):
                await call(channel, "large", b"100000")
        assert before * size < 8 * STREAM_WINDOW_BYTES, "the server has its own buffers, too"
        assert sum([1 async for _ in stream]) == count - 1

    with_server(tmp_path, scenario)


def test_a_stream_that_fails_gives_what_came_before(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        stream = channel.stream("/test.Service/many", b"3 10 fails")
        got = []
        with pytest.raises(CallFailed, match="DATA_LOSS: the rest is gone"):
            async for message in stream:
                got.append(message)
        assert got == [b"m" * 10] * 3

    with_server(tmp_path, scenario)


def test_a_reader_that_goes_ends_the_stream_at_the_server(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        stream = channel.stream("/test.Service/many", b"100000 50000")
        await anext(stream)
        await stream.aclose()
        await service.left.wait()
        assert await call(channel, "echo", b"on") == b"on"

    with_server(tmp_path, scenario)


def test_calls_under_way_fail_with_their_server_and_the_next_finds_the_new_one(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        hanging = asyncio.ensure_future(call(channel, "hang"))
        await call(channel, "echo", b"it is there")
        await server.stop(None)
        assert (await failure_of(hanging)).code in ("UNAVAILABLE", "CANCELLED")
        (tmp_path / "s").unlink(missing_ok=True)
        failure = await failure_of(call(channel, "echo"))
        assert (failure.code, failure.details) == ("UNAVAILABLE", "No such file or directory")
        assert not channel.is_connected
        again = await _serving(tmp_path / "s", service)
        assert await call(channel, "echo", b"back") == b"back"
        await again.stop(None)

    with_server(tmp_path, scenario)


def test_an_orderly_end_waits_for_the_calls_under_way(tmp_path):
    async def scenario(channel: Channel, service: Service, server: aio.Server) -> None:
        await call(channel, "echo")
        large = asyncio.ensure_future(call(channel, "large", b"5000000"))
        await asyncio.sleep(0)
        await channel.close(grace_s=20)
        assert len(await large) == 5_000_000
        assert (await failure_of(call(channel, "echo"))).code == "UNAVAILABLE"

    with_server(tmp_path, scenario)


def test_what_is_not_http_2_is_no_server(tmp_path):
    async def main() -> None:
        async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP, and no more than that, but long enough for a frame\r\n" * 20)
            await reader.read(100)
            writer.close()

        server = await asyncio.start_unix_server(chatter, tmp_path / "s")
        channel = Channel.unix(str(tmp_path / "s"), LIMIT_BYTES)
        assert (await failure_of(call(channel, "echo"))).code == "UNAVAILABLE"
        await channel.close()
        server.close()

    asyncio.run(main())
