"""pods/proxy, services/proxy and nodes/proxy: a request handed on to a server in the cluster, its answer handed back.

Method, query, headers and body pass as they came; what is about a connection, or about who the client is, does not. The
answer's redirects to the server itself are rewritten so that they lead through the proxy again. A WebSocket, or any
other upgrade, is joined to the server's.

Neighbours: `target` finds the server, `pipe` reaches it, `exchange` speaks HTTP with it.
"""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall, StreamAnswer
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.reads import settle
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.streams import outcome
from actors.apiserver.streams import target as targets
from actors.apiserver.streams.exchange import HOP_BY_HOP, Exchange, Pairs, request_head
from actors.apiserver.streams.handing_back import hand_back
from actors.apiserver.streams.pipe import Pipe, PipeBroken, TcpPipe, TlsPipe, TunnelPipe
from actors.apiserver.streams.target import Target
from actors.kubelet.messages import NodeRequest, TunnelRequest
from bus import BusError

ANSWER_S = 600.0  # until the head of an answer; a server that polls for long may take some minutes
REDIRECT = 301


async def proxy(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer | StreamAnswer:
    """Hand a request on."""
    await settle(server, "")
    prefix, path = _split(call.raw_path, info)
    wanted = targets.take_apart(info.name)
    if resource.plural == "nodes":
        target = targets.of_node(server, resource, wanted)
        if not target.address:
            return await _ask_kubelet(server, call, target, path)
    elif resource.plural == "pods":
        target = targets.of_pod(server, resource, info.namespace, wanted)
    else:
        target = targets.of_service(server, resource, info.namespace, wanted, server.random)
    if not path and call.method in ("GET", "HEAD") and not call.upgrade:
        query = f"?{call.query}" if call.query else ""
        return Answer(REDIRECT, b"", "text/plain", {"Location": f"{call.raw_path}/{query}"})
    return await _exchange(server, call, target, prefix, path or "/")


async def _exchange(server: Server, call: ApiCall, target: Target, prefix: str, path: str) -> Answer | StreamAnswer:
    stack = AsyncExitStack()
    try:
        async with asyncio.timeout(ANSWER_S):
            pipe = await _open(server, target, stack)
            exchange = Exchange(pipe, call.method)
            await exchange.begin(_head(call, target, path), call.body)
    except TimeoutError:
        await stack.aclose()
        raise errors.timeout("the server behind the proxy did not answer") from None
    except (PipeBroken, BusError) as error:
        await stack.aclose()
        raise errors.unavailable(f"error trying to reach service: {error}") from error
    except BaseException:
        await stack.aclose()
        raise
    return await hand_back(exchange, pipe, stack, _passed_on(exchange.headers, target, prefix))


async def _open(server: Server, target: Target, stack: AsyncExitStack) -> Pipe:
    """Return a pipe to the target; the stack closes what was opened."""
    pipe: Pipe
    if target.pod:
        request = TunnelRequest(target.namespace, target.pod, target.port, False, target.uid)
        tunnel = TunnelPipe(await stack.enter_async_context(server.kubelets.duplex(target.node, request)))
        await tunnel.connected()
        pipe = tunnel
    else:
        pipe = await TcpPipe.open(target.address, target.port)
    stack.callback(pipe.close)
    if target.scheme == "https":
        secured = TlsPipe(pipe, target.address)
        await secured.handshake()
        return secured
    return pipe


async def _ask_kubelet(server: Server, call: ApiCall, target: Target, path: str) -> Answer:
    """Let a kubelet answer for itself: it has no HTTP server, but the same paths on the bus."""
    is_checkpoint = call.method == "POST" and path.startswith("/checkpoint/")  # which the kubelet refuses in its words
    if call.method not in ("GET", "HEAD") and not is_checkpoint:
        raise errors.method_not_allowed()
    try:
        reply = await server.kubelets.ask(target.node, NodeRequest(target.node, path or "/", call.query))
    except BusError as error:
        raise outcome.refusal(error, target.node, "") from error
    return Answer(reply.status, reply.body, reply.content_type)


# -- heads


def _split(raw_path: str, info: RequestInfo) -> tuple[str, str]:
    """Return the path up to and with `/proxy`, and what follows it, both as they came."""
    own = 1 + (3 if info.group else 2) + (2 if info.namespace else 0) + 3
    parts = raw_path.split("/", own)
    return "/".join(parts[:own]), f"/{parts[own]}" if len(parts) > own else ""


def _head(call: ApiCall, target: Target, path: str) -> bytes:
    host = f"[{target.address}]" if ":" in target.address else target.address
    headers: Pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in call.others]
    for name, value in (("accept", call.accept), ("content-type", call.content_type), ("user-agent", call.user_agent)):
        if value:
            headers.append((name, value))
    request_target = f"{path}?{call.query}" if call.query else path
    return request_head(call.method, request_target, f"{host}:{target.port}", headers, len(call.body), call.upgrade)


def _passed_on(headers: Pairs, target: Target, prefix: str) -> Pairs:
    passed = [(name, value) for name, value in headers if name not in HOP_BY_HOP and name != "content-type"]
    return [(name, _rewritten(value, target, prefix) if name == "location" else value) for name, value in passed]


def _rewritten(location: str, target: Target, prefix: str) -> str:
    """Return a redirect that leads through the proxy again, if it leads to the same server."""
    try:
        parts = urlsplit(location)
        elsewhere = parts.netloc and (parts.hostname != target.address or parts.port not in (None, target.port))
    except ValueError:
        return location
    if elsewhere or not parts.path.startswith("/"):
        return location
    return urlunsplit(("", "", prefix + parts.path, parts.query, parts.fragment))
