"""One API server behind this one: the way to it, and requests handed on along it.

We prove who we are by the front proxy's client certificate, and tell who asks in headers that are believed of nobody
else: X-Remote-User, X-Remote-Group, X-Remote-Uid and X-Remote-Extra-KEY. What a client sends under these names is
dropped. The server proves itself for NAME.NAMESPACE.svc, against the APIService's bundle.

Neighbours: `aggregator` decides what is handed on; `streams` speaks HTTP, TLS and what a connection is upgraded to.
"""

import asyncio
import base64
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall, Identity, StreamAnswer
from actors.apiserver.parts import Parts
from actors.apiserver.streams.exchange import HOP_BY_HOP, Exchange, Pairs, request_head
from actors.apiserver.streams.handing_back import hand_back
from actors.apiserver.streams.pipe import PipeBroken, TcpPipe, TlsPipe
from actors.apiserver.webhooks.addresses import NoAddress, find_address
from actors.apiserver.webhooks.configuration import ServiceReference

ANSWER_S = 60.0  # until the head of an answer; a watch goes on for as long as it likes after that
MAX_DOCUMENT_BYTES = 16 << 20  # of a discovery or OpenAPI document that we read ourselves
REMOTE = "x-remote-"

Object = dict[str, Any]


class FrontProxy:
    """What we prove who we are with."""

    def __init__(self, pki: Path) -> None:
        self.certificate = pki / "front-proxy-client.crt"
        self.key = pki / "front-proxy-client.key"
        self.authority = pki / "front-proxy-ca.crt"


class Remote:
    """Where the versions of an APIService are served."""

    def __init__(self, api_service: Object, proxy: FrontProxy | None) -> None:
        spec = api_service["spec"]
        service = spec["service"]
        self.reference = ServiceReference(service["namespace"], service["name"], service.get("port") or 443)
        self.group: str = spec.get("group", "")
        self.version: str = spec["version"]
        self._bundle = base64.b64decode(spec.get("caBundle") or "").decode("ascii", "replace")
        self._is_insecure = bool(spec.get("insecureSkipTLSVerify"))
        self._proxy = proxy
        self._trust: ssl.SSLContext | None = None

    async def forward(self, parts: Parts, call: ApiCall) -> Answer | StreamAnswer:
        """Hand a request on. Raises ApiError when the server cannot be reached."""
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout(ANSWER_S):
                pipe = await self._open(parts, stack)
                exchange = Exchange(pipe, call.method)
                await exchange.begin(self._head(call), call.body)
        except TimeoutError:
            await stack.aclose()
            raise errors.timeout(f"{self.reference.host} did not answer") from None
        except (PipeBroken, NoAddress, ssl.SSLError, OSError) as error:
            await stack.aclose()
            raise errors.unavailable(f"error trying to reach service: {error}") from error
        except BaseException:
            await stack.aclose()
            raise
        passed = [pair for pair in exchange.headers if pair[0] not in HOP_BY_HOP and pair[0] != "content-type"]
        return await hand_back(exchange, pipe, stack, passed)

    async def fetch(self, parts: Parts, path: str, accept: str, identity: Identity) -> Object:
        """Return a document of the server's own, such as its discovery. Raises ApiError."""
        answer = await self.forward(parts, ApiCall(identity, "GET", path, accept=accept))
        if isinstance(answer, StreamAnswer):
            body = await _collected(answer)
        else:
            body = answer.body
        if not 200 <= answer.status < 300:
            raise errors.unavailable(f"bad status from https://{self.reference.host}{path}: {answer.status}")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise errors.unavailable(f"https://{self.reference.host}{path} is no JSON: {error}") from error

    async def _open(self, parts: Parts, stack: AsyncExitStack) -> TlsPipe:
        address, port = find_address(parts.cache, self.reference, parts.random)
        below = await TcpPipe.open(address, port)
        stack.callback(below.close)
        pipe = TlsPipe(below, self.reference.host, self._trusting())
        await pipe.handshake()
        return pipe

    def _trusting(self) -> ssl.SSLContext:
        if self._trust is None:
            context = ssl.create_default_context(cadata=self._bundle or None)
            if self._is_insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self._proxy is not None:
                context.load_cert_chain(self._proxy.certificate, self._proxy.key)
            self._trust = context
        return self._trust

    def _head(self, call: ApiCall) -> bytes:
        headers: Pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in call.others]
        headers = [pair for pair in headers if not pair[0].startswith(REMOTE)]
        for name, value in (
            ("accept", call.accept), ("content-type", call.content_type), ("user-agent", call.user_agent),
        ):  # fmt: skip
            if value:
                headers.append((name, value))
        headers += identity_headers(call.identity)
        target = f"{call.raw_path}?{call.query}" if call.query else call.raw_path
        host = f"{self.reference.host}:{self.reference.port}"
        return request_head(call.method, target, host, headers, len(call.body), call.upgrade)


def identity_headers(identity: Identity) -> Pairs:
    """Return the headers that say who asks."""
    made: Pairs = [("X-Remote-User", identity.user)]
    made += [("X-Remote-Group", group) for group in identity.groups]
    if identity.uid:
        made.append(("X-Remote-Uid", identity.uid))
    for key, values in identity.extra.items():
        made += [(f"X-Remote-Extra-{quote(key, safe='')}", value) for value in values]
    return [(name, _in_a_header(value)) for name, value in made]


def _in_a_header(value: str) -> str:
    """Return a value whose bytes are UTF-8 when a head is encoded as Latin-1, as Go writes names of any script."""
    return value.replace("\r", "").replace("\n", "").encode().decode("latin-1")


async def _collected(answer: StreamAnswer) -> bytes:
    parts, size = [], 0
    try:
        async for chunk in answer.chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_DOCUMENT_BYTES:
                raise errors.unavailable(f"a document is larger than {MAX_DOCUMENT_BYTES} bytes")
    finally:
        await answer.close()
    return b"".join(parts)
