"""exec, attach and port-forward from a client's bytes to a kubelet's stream and back; the kubelet is the test."""

import asyncio
import json

import pytest

from actors.api.spdy.connection import Role
from actors.api.spdy.session import Session, SessionEnded
from actors.apiserver.call import AUTHENTICATED, Identity
from actors.kubelet.messages import (
    NOT_RUNNING,
    UNREACHABLE,
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
from bus import RemoteError, StreamLost
from tests.actors.apiserver.api_harness import Api, pod, serving, with_account
from tests.actors.apiserver.streams.imagined import WEBSOCKET, Client, Kubelets, WebSocketClient

POD = "/api/v1/namespaces/default/pods/web"
EXEC = f"{POD}/exec?command=sh&command=-c&command=echo%20hi&stdin=true&stdout=true&stderr=true"
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


def with_pod(scenario, **spec):
    """Run `scenario(api, kubelets)` with a pod `web` on node `sim-0`, and a kubelet that accepts everything."""

    async def main():
        async with asyncio.timeout(20), serving() as api:
            kubelets = Kubelets()
            kubelets.prepare = lambda request, stream: (
                None if isinstance(request, TunnelRequest) else stream.say(Accepted())
            )
            api.server.kubelets = kubelets
            await with_account(api)
            made = await api.must("POST", "/api/v1/namespaces/default/pods", pod("web", "sim-0", **spec))
            kubelets.uid = made["metadata"]["uid"]
            await api.server.barrier.fresh()
            await scenario(api, kubelets)

    asyncio.run(main())


def status_in(message: bytes) -> dict:
    assert message[:1] == b"\x03"
    return json.loads(message[1:])


def test_a_command_over_a_websocket_from_its_input_to_its_exit_code():
    async def scenario(api, kubelets):
        client = Client(api)
        socket = await WebSocketClient.open(client, EXEC, V5, V4)
        node, request, kubelet = kubelets.opened[0]
        assert node == "sim-0"
        assert request == ExecStreamRequest(
            "default", "web", "main", ["sh", "-c", "echo hi"], True, True, True, False, kubelets.uid
        )
        assert await socket.receive() == b"\x01"
        for message in (b"\x00ls", b'\x04{"Width":80,"Height":24}', b"\xff\x00"):
            socket.send(message)
        await kubelet.until(lambda: len(kubelet.heard) == 3)
        assert kubelet.heard == [Input(b"ls"), Resize(80, 24), InputEnd()]
        kubelet.say(Output(b"out"), Output(b"err", True), Exited(3))
        *outputs, end = await socket.everything()
        assert outputs == [b"\x01out", b"\x02err"]
        assert status_in(end)["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
        assert socket.close_code == 1000
        assert end[1:] in client.transport.last, "who has the status has the end of the WebSocket, too"
        async with asyncio.timeout(2):
            await kubelet.closed.wait()
        assert api.handler.in_flight.streams == 0

    with_pod(scenario)


def test_success_is_a_status_too():
    async def scenario(api, kubelets):
        socket = await WebSocketClient.open(Client(api), EXEC, V4)
        kubelets.opened[0][2].say(Exited(0))
        assert status_in((await socket.everything())[-1]) == {"metadata": {}, "status": "Success"}

    with_pod(scenario)


def test_the_oldest_protocol_tells_failures_in_a_sentence_and_success_by_silence():
    async def scenario(api, kubelets):
        for code, said in (
            (0, [b"\x01"]),
            (2, [b"\x01", b"\x03command terminated with non-zero exit code: exit status 2"]),
        ):
            socket = await WebSocketClient.open(Client(api), EXEC)
            kubelets.opened[-1][2].say(Exited(code))
            assert await socket.everything() == said

    with_pod(scenario)


def test_a_client_that_hangs_up_lets_go_of_the_command():
    async def scenario(api, kubelets):
        client = Client(api)
        await WebSocketClient.open(client, EXEC, V5)
        await client.hang_up()
        assert kubelets.opened[0][2].closed.is_set()
        assert api.handler.in_flight.streams == 0

    with_pod(scenario)


def test_a_kubelet_that_is_lost_is_told():
    async def scenario(api, kubelets):
        socket = await WebSocketClient.open(Client(api), EXEC, V5)
        kubelets.opened[0][2].say(Output(b"so far"), StreamLost("the peer went away"))
        *_, output, end = await socket.everything()
        assert output == b"\x01so far"
        assert status_in(end)["reason"] == "ServiceUnavailable"

    with_pod(scenario)


def test_a_kubelet_s_refusal_comes_before_the_upgrade():
    async def scenario(api, kubelets):
        kubelets.prepare = lambda request, stream: stream.say(RemoteError("it is not running", kind=NOT_RUNNING))
        client = Client(api)
        client.ask("GET", EXEC, WEBSOCKET)
        status = await client.status()
        assert (status["code"], status["message"]) == (400, "it is not running")
        assert kubelets.opened[0][2].closed.is_set()

    with_pod(scenario)


@pytest.mark.parametrize(
    ("path", "headers", "code", "message"),
    [
        (EXEC, {}, 400, "Upgrade request required"),
        (EXEC, WEBSOCKET | {"Sec-WebSocket-Protocol": "mqtt"}, 403, "unable to upgrade"),
        (EXEC, WEBSOCKET | {"Sec-WebSocket-Version": "8"}, 400, "Sec-WebSocket-Version must be 13"),
        (EXEC, WEBSOCKET | {"Upgrade": "h2c"}, 400, "cannot upgrade to h2c"),
        (f"{POD}/exec?stdout=true", WEBSOCKET, 400, "you must specify at least one command"),
        (f"{POD}/exec?command=x", WEBSOCKET, 400, "at least 1 of stdin, stdout, stderr"),
        (f"{EXEC}&container=nope", WEBSOCKET, 400, "container nope is not valid for pod web"),
        (EXEC.replace("/web/", "/gone/"), WEBSOCKET, 404, 'pods "gone" not found'),
        (f"{POD}/portforward?ports=99999", WEBSOCKET, 400, "is not a port"),
        (f"{POD}/portforward", WEBSOCKET, 400, "is required"),
    ],
)
def test_refusals_are_statuses(path, headers, code, message):
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", path, headers)
        status = await client.status()
        assert status["kind"] == "Status"
        assert (status["code"], message in status["message"]) == (code, True), status
        assert kubelets.opened == []

    with_pod(scenario)


@pytest.mark.parametrize(("verbs", "code"), [(["get"], 403), (["create"], 403), (["get", "create"], 101)])
def test_a_websocket_needs_get_and_create(verbs, code):
    async def scenario(api, kubelets):
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs}
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "runner"}}
        await api.must("POST", f"{roles}/roles", {"kind": "Role", **kind, "rules": [rule]})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner"}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
        binding = {"kind": "RoleBinding", **kind, "roleRef": reference, "subjects": [subject]}
        await api.must("POST", f"{roles}/rolebindings", binding)
        await api.server.barrier.fresh()
        client = Client(api, Identity("jane", (AUTHENTICATED,)))
        client.ask("GET", EXEC, WEBSOCKET)
        assert (await client.head())[0] == code

    with_pod(scenario)


def test_attaching():
    async def scenario(api, kubelets):
        socket = await WebSocketClient.open(Client(api), f"{POD}/attach?stdout=true&stderr=true&tty=true", V5)
        assert kubelets.opened[0][1] == AttachRequest("default", "web", "main", False, True, False, kubelets.uid)
        kubelets.opened[0][2].say(Output(b"hello"), Exited(0))
        assert (await socket.everything())[1] == b"\x01hello"

    with_pod(scenario)


# -- SPDY


class Bytes:
    """An upgraded connection as an SPDY client's bytes."""

    def __init__(self, client: Client, early: bytes) -> None:
        self._client = client
        self._early = early

    async def read(self) -> bytes:
        early, self._early = self._early, b""
        return early or await self._client.receive()

    async def write(self, data: bytes) -> None:
        self._client.send(data)


class WebSocketBytes:
    def __init__(self, socket: WebSocketClient) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        return await self._socket.receive() or b""

    async def write(self, data: bytes) -> None:
        self._socket.send(data)


async def spdy(api: Api, path: str, protocol: str) -> tuple[Session, asyncio.Task]:
    client = Client(api)
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": f"v9.x, {protocol}"}
    client.ask("POST", path, headers)
    status, answer, early = await client.head()
    assert (status, answer.get("x-stream-protocol-version")) == (101, protocol), (status, early)
    session = Session(Role.CLIENT, Bytes(client, early))
    return session, asyncio.ensure_future(session.run())


async def all_of(stream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


def test_a_command_over_spdy():
    async def scenario(api, kubelets):
        session, running = await spdy(api, EXEC, V4)
        streams = {kind: await session.open({"streamtype": kind}) for kind in ("error", "stdin", "stdout", "stderr")}
        kubelet = kubelets.opened[0][2]
        await streams["stdin"].write(b"in", fin=True)
        await kubelet.until(lambda: len(kubelet.heard) == 2)
        assert kubelet.heard == [Input(b"in"), InputEnd()]
        kubelet.say(Output(b"out"), Output(b"err", True), Exited(4))
        assert await all_of(streams["stdout"]) == b"out"
        assert await all_of(streams["stderr"]) == b"err"
        assert json.loads(await all_of(streams["error"]))["details"]["causes"][0]["message"] == "4"
        await running

    with_pod(scenario)


def test_an_spdy_client_with_no_protocol_in_common_is_refused():
    async def scenario(api, kubelets):
        client = Client(api)
        headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v9.x"}
        client.ask("POST", EXEC, headers)
        assert (await client.status())["code"] == 403

    with_pod(scenario)


def forwarding(scenario, tunnelled: bool):
    """Run `scenario(session, kubelets)` with a client's session that forwards ports, by either way."""

    async def main(api, kubelets):
        if tunnelled:
            socket = await WebSocketClient.open(Client(api), f"{POD}/portforward", "SPDY/3.1+portforward.k8s.io")
            session = Session(Role.CLIENT, WebSocketBytes(socket))
            running = asyncio.ensure_future(session.run())
        else:
            session, running = await spdy(api, f"{POD}/portforward", "portforward.k8s.io")
        await scenario(session, kubelets)
        running.cancel()
        await asyncio.wait([running])

    with_pod(main)


async def forwarded(session, number: int, port: str = "80"):
    headers = {"port": port, "requestid": str(number)}
    error = await session.open({"streamtype": "error", **headers})
    await error.end()
    return await session.open({"streamtype": "data", **headers}), error


@pytest.mark.parametrize("tunnelled", [True, False])
def test_connections_are_forwarded_each_with_its_own_tunnel(tunnelled):
    async def scenario(session, kubelets):
        pairs = [await forwarded(session, number) for number in range(20)]
        while len(kubelets.opened) < 20:
            await asyncio.sleep(0)
        for number, ((data, error), (node, request, kubelet)) in enumerate(zip(pairs, kubelets.opened, strict=True)):
            assert (node, request.port, request.inside, request.uid) == ("sim-0", 80, True, kubelets.uid)
            kubelet.say(TunnelData(b""))
            await data.write(b"question %d" % number)
            await data.end()
            await kubelet.until(lambda kubelet=kubelet: kubelet.ended)
            assert kubelet.heard == [TunnelData(b"question %d" % number)]
            kubelet.say(TunnelData(b"answer"), TunnelData(b""), None)
            assert await all_of(data) == b"answer"
            assert await all_of(error) == b""

    forwarding(scenario, tunnelled)


def test_the_pod_may_end_its_way_first():
    async def scenario(session, kubelets):
        data, _ = await forwarded(session, 1)
        while not kubelets.opened:
            await asyncio.sleep(0)
        kubelet = kubelets.opened[0][2]
        kubelet.say(TunnelData(b""), TunnelData(b"bye"), TunnelData(b""))
        assert await all_of(data) == b"bye"
        await data.write(b"still here", fin=True)
        await kubelet.until(lambda: kubelet.ended)
        assert kubelet.heard == [TunnelData(b"still here")]

    forwarding(scenario, True)


@pytest.mark.parametrize(("port", "said"), [("80", "connection refused"), ("0", "is no port"), ("x", "is no port")])
def test_a_connection_that_can_t_be_made_is_told_on_its_error_stream(port, said):
    async def scenario(session, kubelets):
        kubelets.prepare = lambda request, stream: stream.say(RemoteError("connection refused", kind=UNREACHABLE))
        data, error = await forwarded(session, 1, port)
        message = (await all_of(error)).decode()
        assert message.startswith(f"error forwarding port {port} to pod web, uid ")
        assert said in message
        assert await all_of(data) == b""

    forwarding(scenario, True)


def test_a_client_s_reset_ends_the_tunnel():
    async def scenario(session, kubelets):
        data, _ = await forwarded(session, 1)
        while not kubelets.opened:
            await asyncio.sleep(0)
        kubelets.opened[0][2].say(TunnelData(b""))
        await data.reset()
        async with asyncio.timeout(2):
            await kubelets.opened[0][2].closed.wait()

    forwarding(scenario, True)


def test_a_data_stream_without_its_error_stream_is_reset():
    async def scenario(session, kubelets):
        with pytest.raises(SessionEnded):
            stream = await session.open({"streamtype": "data", "port": "80", "requestid": "7"})
            assert await stream.read() == b""
            await stream.write(b"x")
        assert kubelets.opened == []

    forwarding(scenario, True)


def test_ports_by_websocket_channels():
    async def scenario(api, kubelets):
        kubelets.prepare = lambda request, stream: stream.say(
            TunnelData(b"") if request.port == 80 else RemoteError("connection refused", kind=UNREACHABLE)
        )
        socket = await WebSocketClient.open(Client(api), f"{POD}/portforward?ports=80&ports=81", V4)
        greetings = sorted([await socket.receive() for _ in range(4)])
        assert greetings == [b"\x00P\x00", b"\x01P\x00", b"\x02Q\x00", b"\x03Q\x00"]
        complaint = await socket.receive()
        assert complaint[:1] == b"\x03"
        assert complaint.endswith(b"connection refused")
        socket.send(b"\x00question")
        kubelet = next(stream for _, request, stream in kubelets.opened if request.port == 80)
        await kubelet.until(lambda: kubelet.heard)
        assert kubelet.heard == [TunnelData(b"question")]
        kubelet.say(TunnelData(b"answer"), TunnelData(b""))
        assert await socket.everything() == [b"\x00answer"]

    with_pod(scenario)
