"""pods/exec, pods/attach and pods/portforward: from a request to a connection that is somebody else's protocol.

Everything that can be refused is refused before the 101, as a Status: who may not, no such pod or container, not
running, a simulated node, no protocol in common. Clients of WebSockets come with GET, and so with the verb `get`; as
in Kubernetes since 1.35 they need `create` too, which clients of SPDY, who POST, have shown already.

Neighbours: `command`, `port_forward` and `port_channels` run after the 101; `kubelets` opens the stream to the node.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from actors.api import errors
from actors.api.spdy.connection import Role
from actors.api.spdy.session import Session
from actors.apiserver.admission import chain
from actors.apiserver.admission.attributes import CONNECT, Admission
from actors.apiserver.auth.authorizer import attributes
from actors.apiserver.call import Answer, ApiCall, UpgradeAnswer
from actors.apiserver.integers import MAX_PORT, port_of
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.reads import settle
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.apiserver.streams import channels, outcome
from actors.apiserver.streams.channels import Channel
from actors.apiserver.streams.command import SpdyCommand, SpdyStreams, WebSocketCommand, relay
from actors.apiserver.streams.port_channels import MAX_PORTS, PortChannels
from actors.apiserver.streams.port_forward import PortForward
from actors.apiserver.streams.serve_spdy import run_beside
from actors.apiserver.streams.websocket import WebSocket, WebSocketBytes, handshake, refusal_of_handshake
from actors.apiserver.streams.wire import Wire
from actors.apiserver.verbs.log import container_name
from actors.kubelet.messages import AttachRequest, ExecStreamRequest, TunnelRequest
from bus import BusError, Request

WEBSOCKET, SPDY = "websocket", "spdy/3.1"
TUNNEL = "SPDY/3.1+portforward.k8s.io"  # the WebSocket protocol that carries SPDY frames
PORT_FORWARD = "portforward.k8s.io"
SPDY_COMMAND_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
STREAM_PROTOCOL = "x-stream-protocol-version"

Run = Callable[[Wire], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pod:
    """The pod that a request is about, and where it runs."""

    name: str
    namespace: str
    uid: str
    node: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stdio:
    """Which streams a client wants: PodExecOptions and PodAttachOptions in common."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @property
    def first_output(self) -> Channel:
        return Channel.STDOUT if self.stdout else Channel.STDERR if self.stderr else Channel.ERROR

    @property
    def spdy_streams(self) -> frozenset[str]:
        wanted = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr, "resize": self.tty}
        return frozenset({"error", *(name for name, is_wanted in wanted.items() if is_wanted)})


async def exec_(server: Server, call: ApiCall, info: RequestInfo, pods: Resource) -> Answer | UpgradeAnswer:
    """Run a command in a container."""
    fields = _fields(call)
    stdio = _stdio(fields)
    command = fields.get("command", [])
    if not command:
        raise errors.bad_request("you must specify at least one command for the container")
    options = {"kind": "PodExecOptions", "apiVersion": "v1", **_options(fields, stdio), "command": command}
    pod = await _admitted(server, call, info, pods, options)
    request = ExecStreamRequest(
        pod.namespace, pod.name, container_name(pod.document, options["container"]), command,
        stdio.stdin, stdio.stdout, stdio.stderr, stdio.tty, pod.uid,
    )  # fmt: skip
    return await _command(server, call, pod, request, stdio)


async def attach(server: Server, call: ApiCall, info: RequestInfo, pods: Resource) -> Answer | UpgradeAnswer:
    """Join a container's own process."""
    fields = _fields(call)
    stdio = _stdio(fields)
    options = {"kind": "PodAttachOptions", "apiVersion": "v1", **_options(fields, stdio)}
    pod = await _admitted(server, call, info, pods, options)
    request = AttachRequest(
        pod.namespace, pod.name, container_name(pod.document, options["container"]),
        stdio.stdin, stdio.stdout, stdio.stderr, pod.uid,
    )  # fmt: skip
    return await _command(server, call, pod, request, stdio)


async def port_forward(server: Server, call: ApiCall, info: RequestInfo, pods: Resource) -> Answer | UpgradeAnswer:
    """Carry TCP connections to a pod's ports."""
    fields = _fields(call)
    ports = _ports(fields)
    options = {"kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": ports}
    pod = await _admitted(server, call, info, pods, options)
    kind = _upgrade_kind(call)

    def open_tunnel(port: int) -> AbstractAsyncContextManager[Any]:
        if not 0 < port <= MAX_PORT:
            raise BusError(f"{port} is no port")
        request = TunnelRequest(pod.namespace, pod.name, port, True, pod.uid)
        return server.kubelets.duplex(pod.node, request)

    target = f"{pod.name}, uid {pod.uid}"
    if kind == SPDY:
        chosen = _spdy_protocol(call, (PORT_FORWARD,))
        return UpgradeAnswer(_spdy_headers(chosen), lambda wire: PortForward(wire, open_tunnel, target).run())
    offered = _offered(call)
    if TUNNEL in offered:
        headers = handshake(call.header("sec-websocket-key"), TUNNEL)
        return UpgradeAnswer(
            headers, lambda wire: PortForward(WebSocketBytes(WebSocket(wire)), open_tunnel, target).run()
        )
    protocol = _protocol(offered, channels.PORT_PROTOCOLS)
    if not ports:
        raise errors.bad_request('query parameter "port" is required')
    headers = handshake(call.header("sec-websocket-key"), protocol.name)
    return UpgradeAnswer(
        headers, lambda wire: PortChannels(WebSocket(wire), protocol, ports, open_tunnel, target).run()
    )


# -- what is asked


def _fields(call: ApiCall) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(call.query, keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return fields


def _stdio(fields: dict[str, list[str]]) -> Stdio:
    stdin, stdout, stderr, tty = (
        is_true(fields.get(name, ["false"])[0]) for name in ("stdin", "stdout", "stderr", "tty")
    )
    if not (stdin or stdout or stderr):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return Stdio(stdin, stdout, stderr and not tty, tty)


def _options(fields: dict[str, list[str]], stdio: Stdio) -> dict[str, Any]:
    return {
        "stdin": stdio.stdin,
        "stdout": stdio.stdout,
        "stderr": stdio.stderr,
        "tty": stdio.tty,
        "container": fields.get("container", [""])[0],
    }


def _ports(fields: dict[str, list[str]]) -> list[int]:
    texts = [text for value in fields.get("ports", []) + fields.get("port", []) for text in value.split(",") if text]
    if len(texts) > MAX_PORTS:
        raise errors.bad_request(f"at most {MAX_PORTS} ports may be forwarded by one request")
    found = []
    for text in texts:
        port = port_of(text)
        if port is None:
            raise errors.bad_request(f'"{text[:64]}" is not a port')
        found.append(port)
    return found


async def _admitted(server: Server, call: ApiCall, info: RequestInfo, pods: Resource, options: dict[str, Any]) -> Pod:
    """Authorize what the verb did not show, let admission see the options, and return the pod. Raises ApiError."""
    asked = attributes(info)
    if asked.verb != "create":
        asked = replace(asked, verb="create")
        await server.authorizer.check_by_all(call.identity, asked)
    if not call.upgrade:
        raise errors.bad_request("Upgrade request required")
    await settle(server, "")
    entry = server.cache.of(pods).entries.get(pods.key(info.namespace, info.name))
    if entry is None:
        raise errors.not_found("pods", info.name)
    admission = Admission(
        server, call.identity, pods, info.namespace, info.name, info.subresource, operation=CONNECT, options=None,
        annotations=call.annotations,
    )  # fmt: skip
    await chain.admit_body(server.hooks, admission, options)
    document = entry.decode()
    node = (document.get("spec") or {}).get("nodeName", "")
    if not node:
        raise errors.bad_request(f"pod {info.name} does not have a host assigned")
    return Pod(info.name, info.namespace, document["metadata"]["uid"], node, document)


# -- how it is answered


async def _command(server: Server, call: ApiCall, pod: Pod, request: Request, stdio: Stdio) -> UpgradeAnswer:
    """Choose a protocol, open the stream to the kubelet, and answer with what joins the two."""
    if _upgrade_kind(call) == SPDY:
        chosen = _spdy_protocol(call, SPDY_COMMAND_PROTOCOLS)
        headers = _spdy_headers(chosen)
        serve = lambda kubelet: _by_spdy(chosen, kubelet, pod, stdio)  # noqa: E731
    else:
        protocol = _protocol(_offered(call), channels.COMMAND_PROTOCOLS)
        headers = handshake(call.header("sec-websocket-key"), protocol.name)
        serve = lambda kubelet: _by_websocket(protocol, kubelet, pod, stdio)  # noqa: E731
    stack = AsyncExitStack()
    try:
        kubelet = await stack.enter_async_context(server.kubelets.duplex(pod.node, request))
        await anext(aiter(kubelet))  # Accepted, or the kubelet's refusal
    except BusError as error:
        await stack.aclose()
        raise outcome.refusal(error, pod.node, pod.name) from error
    except BaseException:
        await stack.aclose()
        raise
    return UpgradeAnswer(headers, serve(kubelet), stack.aclose)


def _by_websocket(protocol: channels.Protocol, kubelet: Any, pod: Pod, stdio: Stdio) -> Run:
    async def run(wire: Wire) -> None:
        client = WebSocketCommand(WebSocket(wire), protocol)
        await client.begin(stdio.first_output)
        await relay(client, kubelet, pod.node, pod.name)

    return run


def _by_spdy(chosen: str, kubelet: Any, pod: Pod, stdio: Stdio) -> Run:
    async def run(wire: Wire) -> None:
        streams = SpdyStreams(stdio.spdy_streams)
        session = Session(Role.SERVER, wire, streams.on_stream)

        async def serve() -> None:
            found = await streams.complete()
            if found is not None:
                client = SpdyCommand(session, found, has_status=chosen.startswith("v4"))
                await relay(client, kubelet, pod.node, pod.name)

        await run_beside(session, serve())

    return run


def _upgrade_kind(call: ApiCall) -> str:
    """Return what the client wants to change to. Raises ApiError for what is not spoken here."""
    kind = call.upgrade.lower()
    if kind == WEBSOCKET:
        wrong = refusal_of_handshake(call.header)
        if wrong:
            raise errors.bad_request(wrong)
    elif kind != SPDY:
        raise errors.bad_request(f"cannot upgrade to {call.upgrade}: websocket and SPDY/3.1 are spoken here")
    return kind


def _offered(call: ApiCall) -> list[str]:
    return [name.strip() for name in call.header("sec-websocket-protocol").split(",") if name.strip()]


def _protocol(offered: list[str], known: tuple[channels.Protocol, ...]) -> channels.Protocol:
    chosen = channels.choose(offered, known)
    if chosen is None:
        names = ", ".join(protocol.name for protocol in known if protocol.name)
        raise errors.ApiError(
            403, "Forbidden", f"unable to upgrade: {offered} are not supported; supported are {names}"
        )
    return chosen


def _spdy_protocol(call: ApiCall, known: tuple[str, ...]) -> str:
    """Return the first protocol of the client's that is known; the oldest where it names none."""
    offered = [name.strip() for name in call.header(STREAM_PROTOCOL).split(",") if name.strip()]
    chosen = next((name for name in offered or known[-1:] if name in known), None)
    if chosen is None:
        message = (
            f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts {list(known)}"
        )
        raise errors.ApiError(403, "Forbidden", message)
    return chosen


def _spdy_headers(protocol: str) -> dict[str, str]:
    return {"Upgrade": "SPDY/3.1", "Connection": "Upgrade", "X-Stream-Protocol-Version": protocol}
