"""The kubelet's streams over a real bus, with an imagined driver: what is refused, fed, sent, and let go of."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from actors.kubelet.messages import (
    BAD_REQUEST,
    FAILED,
    NOT_FOUND,
    NOT_RUNNING,
    UNREACHABLE,
    UNSUPPORTED,
    Accepted,
    AttachRequest,
    ExecStreamRequest,
    Exited,
    Input,
    InputEnd,
    Output,
    Resize,
    TunnelData,
    TunnelRequest,
)
from actors.kubelet.observed import PodRuntime
from actors.kubelet.runtime import Container, ContainerState, ContainerStatus, PodSandbox, RuntimeRefused, SandboxStatus
from actors.kubelet.streaming.process import NoStreams, Piece, Stdio
from actors.kubelet.streaming.serving import StreamServing
from bus import Client, RemoteError, Server, ipc_endpoint

POD = {
    "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
    "spec": {"containers": [{"name": "main"}, {"name": "shell", "stdin": True, "tty": True}]},
    "status": {"podIPs": [{"ip": "127.0.0.1"}]},
}
EXEC = ExecStreamRequest("default", "web", "main", ["sh"], stdin=True)


def container(name: str, state: ContainerState) -> ContainerStatus:
    return ContainerStatus(Container(f"id-{name}", "sb", "u1", "web", "default", name, 0, state, "", "", 0))


class Imagined:
    """A process: what it is told is in `told`, what it says is given by `says`."""

    def __init__(self) -> None:
        self.told: list = []
        self.says: asyncio.Queue[Piece | None] = asyncio.Queue()
        self.exit_code = 0
        self.closed = asyncio.Event()
        self.was_told = asyncio.Event()
        self.reads = True
        self.lets_go = asyncio.Event()  # of a write that nobody reads, once that is cancelled

    async def read(self):
        return await self.says.get()

    def _tell(self, *what) -> None:
        self.told.append(what)
        self.was_told.set()

    async def write(self, data):
        if not self.reads:
            self._tell("write unread")
            try:
                await asyncio.Event().wait()
            finally:
                await self.lets_go.wait()
        self._tell("write", data)

    async def end_stdin(self):
        self._tell("end")

    async def resize(self, width, height):
        self._tell("resize", width, height)

    async def wait(self):
        return self.exit_code

    async def close(self):
        self.closed.set()

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.told) < count:
                self.was_told.clear()
                await self.was_told.wait()


class Streams:
    def __init__(self) -> None:
        self.process = Imagined()
        self.asked: list = []
        self.refusal: Exception | None = None

    async def exec(self, container_id, command, stdio):
        self.asked.append((container_id, list(command), stdio))
        if self.refusal is not None:
            raise self.refusal
        return self.process

    async def attach(self, container_id, stdio):
        self.asked.append((container_id, stdio))
        return self.process

    async def namespace(self, sandbox_id):
        return None


@asynccontextmanager
async def serving(tmp_path, streams=None, state=ContainerState.RUNNING):
    streams = streams or Streams()
    sandbox = SandboxStatus(PodSandbox("sb", "u1", "web", "default", 0, True, 0))
    runtime = PodRuntime((sandbox,), tuple(container(name, state) for name in ("main", "shell")))
    driver = SimpleNamespace(streams=streams)
    server = Server("kubelet@w1", ipc_endpoint(tmp_path, "kubelet@w1", "work"))
    StreamServing(lambda key: (POD, lambda: runtime, driver) if key == "default/web" else None).register(server)
    server.start()
    client = Client("apiserver@m1")
    try:
        async with asyncio.timeout(20):
            yield streams, lambda request: client.duplex(server.endpoint, request)
    finally:
        client.close()
        server.close()


def run(coroutine):
    asyncio.run(coroutine)


def test_a_command_is_fed_heard_and_waited_for(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream), open_stream(EXEC) as stream:
            items = aiter(stream)
            assert await anext(items) == Accepted()
            process = streams.process
            for item in (Input(b"one"), Resize(80, 24), InputEnd(), Resize(81, 25)):
                await stream.send(item)
            await process.until_told(4)
            assert process.told == [("write", b"one"), ("resize", 80, 24), ("end",), ("resize", 81, 25)]
            process.exit_code = 3
            for piece in (Piece(b"out"), Piece(b"err", True), None):
                process.says.put_nowait(piece)
            assert [item async for item in items] == [Output(b"out"), Output(b"err", True), Exited(3)]
            assert process.closed.is_set()
            assert streams.asked == [("id-main", ["sh"], Stdio(stdin=True, stdout=True, stderr=True, tty=False))]

    run(scenario())


def test_the_end_of_the_stream_s_input_is_the_end_of_stdin(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream), open_stream(EXEC) as stream:
            stream.end()
            await streams.process.until_told(1)
            assert streams.process.told == [("end",)]

    run(scenario())


def test_a_caller_that_lets_go_closes_the_process_also_one_that_reads_nothing(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream):
            streams.process.reads = False
            streams.process.lets_go.set()
            async with open_stream(EXEC) as stream:
                await anext(aiter(stream))
                await stream.send(Input(b"x"))
                await streams.process.until_told(1)
            async with asyncio.timeout(2):
                await streams.process.closed.wait()

    run(scenario())


def test_a_caller_that_lets_go_while_its_command_is_put_away_closes_it_all_the_same(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream):
            process = streams.process
            process.reads = False
            async with open_stream(EXEC) as stream:
                items = aiter(stream)
                await anext(items)
                await stream.send(Input(b"x"))
                await process.until_told(1)
                process.says.put_nowait(None)
                assert await anext(items) == Exited(0)  # and the input, which is told to stop, is slow to
            async with asyncio.timeout(2):
                await process.closed.wait()
            process.lets_go.set()

    run(scenario())


def test_a_slow_reader_holds_the_process_back(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream), open_stream(EXEC) as stream:
            process = streams.process
            for _ in range(200):
                process.says.put_nowait(Piece(bytes(100_000)))
            process.says.put_nowait(None)
            await asyncio.sleep(0.1)
            assert process.says.qsize() > 100  # the window is full, and nothing more was read from the process
            sizes = [len(item.data) async for item in stream if isinstance(item, Output)]
            assert sum(sizes) == 20_000_000

    run(scenario())


async def refusal(open_stream, request) -> tuple[str, list]:
    """The kind of the refusal, and what came before it."""
    items = []
    with pytest.raises(RemoteError) as caught:
        async with open_stream(request) as stream:
            async for item in stream:
                items.append(item)
    return caught.value.kind, items


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (ExecStreamRequest("default", "gone", "main", ["sh"]), NOT_FOUND),
        (ExecStreamRequest("default", "web", "main", ["sh"], uid="u2"), NOT_FOUND),
        (ExecStreamRequest("default", "web", "nope", ["sh"]), BAD_REQUEST),
        (ExecStreamRequest("default", "web", "", ["sh"]), BAD_REQUEST),
        (ExecStreamRequest("default", "web", "main", []), BAD_REQUEST),
        (AttachRequest("default", "web", "main", stdin=True), BAD_REQUEST),
        (TunnelRequest("default", "web", 0), BAD_REQUEST),
        (TunnelRequest("default", "gone", 80), NOT_FOUND),
    ],
)
def test_what_is_refused(tmp_path, request_, kind):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream):
            assert await refusal(open_stream, request_) == (kind, [])
            assert streams.asked == []

    run(scenario())


def test_a_container_that_does_not_run(tmp_path):
    async def scenario():
        async with serving(tmp_path, state=ContainerState.EXITED) as (_, open_stream):
            assert await refusal(open_stream, EXEC) == (NOT_RUNNING, [])

    run(scenario())


@pytest.mark.parametrize(
    "request_", [EXEC, AttachRequest("default", "web", "main"), TunnelRequest("default", "web", 80)]
)
def test_a_simulated_node_says_what_it_is(tmp_path, request_):
    async def scenario():
        async with serving(tmp_path, NoStreams()) as (_, open_stream):
            assert await refusal(open_stream, request_) == (UNSUPPORTED, [])

    run(scenario())


def test_a_command_that_can_t_be_started_was_accepted_before(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream):
            streams.refusal = RuntimeRefused("no such file")
            assert await refusal(open_stream, EXEC) == (FAILED, [Accepted()])

    run(scenario())


def test_an_attachment_knows_its_container_s_terminal(tmp_path):
    async def scenario():
        async with serving(tmp_path) as (streams, open_stream):
            async with open_stream(AttachRequest("default", "web", "shell", stdin=True)) as stream:
                assert await anext(aiter(stream)) == Accepted()
                await stream.send(InputEnd())
                await streams.process.until_told(1)
            assert streams.asked == [("id-shell", Stdio(stdin=True, stdout=True, stderr=False, tty=True))]

    run(scenario())


@pytest.mark.parametrize("inside", [True, False])
def test_a_tunnel_to_a_listening_port(tmp_path, inside):
    async def scenario():
        async def answer(reader, writer):
            asked = await reader.read()
            writer.write(b"you said " + asked)
            writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, serving(tmp_path) as (_, open_stream):
            async with open_stream(TunnelRequest("default", "web", port, inside)) as stream:
                await stream.send(TunnelData(b"hello"))
                stream.end()
                assert [item.data async for item in stream] == [b"", b"you said hello", b""]

    run(scenario())


def test_a_port_that_nobody_listens_at(tmp_path):
    async def scenario():
        listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        listener.close()
        await listener.wait_closed()
        async with serving(tmp_path) as (_, open_stream):
            assert await refusal(open_stream, TunnelRequest("default", "web", port, False)) == (UNREACHABLE, [])

    run(scenario())
