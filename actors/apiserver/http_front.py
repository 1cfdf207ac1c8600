"""The HTTPS door: an ASGI application that makes calls of requests and sends answers.

Authentication: a bearer token if there is one, else the connection's client certificate, else nobody. A token that is
not good is refused with 401, whatever certificate came with it.

Neighbours: `http_protocol` parses, `https_server` listens, `handler` answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actors.api import errors
from actors.apiserver.auth.authorizer import Authorizer
from actors.apiserver.auth.impersonation import PREFIX as IMPERSONATE
from actors.apiserver.auth.impersonation import impersonated
from actors.apiserver.auth.tokens import ServiceAccountTokens, StaticTokens
from actors.apiserver.call import ANONYMOUS, Answer, ApiCall, Identity, StreamAnswer, of_error
from actors.apiserver.handler import MAX_BODY_BYTES, Handler
from actors.apiserver.http_protocol import CONNECTION, ApiProtocol

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_NO_STORE = (b"cache-control", b"no-cache, private")
MAX_WARNINGS = 20  # Warning headers of one answer; more are cut, as they would burst a client's header limit


class HttpFront:
    def __init__(
        self, handler: Handler, authorizer: Authorizer, tokens: ServiceAccountTokens, static_tokens: StaticTokens
    ) -> None:
        self._handler = handler
        self._authorizer = authorizer
        self._tokens = tokens
        self._static_tokens = static_tokens

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        connection: ApiProtocol = scope["state"][CONNECTION]
        call, authorization, length, impersonates = _call_of(scope)
        try:
            call.identity = self._authenticate(connection, authorization)
            if impersonates:
                call.identity = impersonated(self._authorizer, call.identity, scope["headers"])
            if length > MAX_BODY_BYTES:
                raise errors.too_large(f"limit is {MAX_BODY_BYTES} bytes")
            if length or call.method not in ("GET", "HEAD"):
                call.body = await _body(receive)
        except errors.ApiError as error:
            await self._send(connection, of_error(error), send, call.method, close=True)
            return
        except ConnectionError:
            return
        answer = await self._handler.handle(call)
        if isinstance(answer, Answer):
            await self._send(connection, answer, send, call.method, close=self._handler.stopping)
        else:
            await self._stream(connection, answer, send, call.method)

    def _authenticate(self, connection: ApiProtocol, authorization: str) -> Identity:
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() == "bearer" and token:
                found = self._tokens.authenticate(token.strip()) or self._static_tokens.authenticate(token.strip())
                if found is None:
                    raise errors.unauthorized()
                return found
        return connection.identity or ANONYMOUS

    async def _send(
        self, connection: ApiProtocol, answer: Answer, send: Send, method: str, *, close: bool = False
    ) -> None:
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", b"%d" % len(answer.body)),
            _NO_STORE,
        ]
        for name, value in answer.headers.items():
            headers.append((name.lower().encode(), value.encode()))
        for warning in (answer.warnings or ())[:MAX_WARNINGS]:
            headers.append((b"warning", _warning(warning)))
        if close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _stream(self, connection: ApiProtocol, answer: StreamAnswer, send: Send, method: str) -> None:
        task = asyncio.current_task()
        assert task is not None, "an ASGI application runs in a task"
        headers = [(b"content-type", answer.content_type.encode()), _NO_STORE]
        try:
            connection.on_lost = task.cancel
            if connection.transport.is_closing():
                return
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            async for chunk in answer.chunks:
                await connection.drain()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except errors.ApiError:
            connection.transport.close()  # too late for a Status: the body is cut short, which the client notices
        except asyncio.CancelledError:
            if not connection.transport.is_closing():
                raise
        finally:
            connection.on_lost = None
            await answer.close()


def _call_of(scope: dict[str, Any]) -> tuple[ApiCall, str, int, bool]:
    """Return (call without identity and body, Authorization, Content-Length, wants to be somebody else)."""
    authorization = content_type = accept = user_agent = ""
    length = 0
    impersonates = False
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"accept":
            accept = value.decode("latin-1") if not accept else f"{accept},{value.decode('latin-1')}"
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"user-agent":
            user_agent = value.decode("latin-1")
        elif name.startswith(IMPERSONATE):
            impersonates = True
    call = ApiCall(
        ANONYMOUS,
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        content_type=content_type,
        accept=accept,
        user_agent=user_agent,
    )
    return call, authorization, length, impersonates


async def _body(receive: Receive) -> bytes:
    """Return the whole body. Raises ApiError when it is too large, ConnectionError when the client went away."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionResetError("the client went away before its request was complete")
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client went away before its request was complete")
        body += message["body"]
        if len(body) > MAX_BODY_BYTES:
            raise errors.too_large(f"limit is {MAX_BODY_BYTES} bytes")
    return body


def _warning(text: str) -> bytes:
    """A Warning header of the miscellaneous persistent kind, as kubectl prints them."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(c if c.isprintable() else " " for c in quoted)
    return f'299 - "{printable}"'.encode("latin-1", "replace")
