"""The HTTPS door: makes calls of requests and writes answers.

Authentication: a bearer token if there is one, else the connection's client certificate, else nobody. A token that is
not good is refused with 401, whatever certificate came with it.

Neighbours: `http_connection` parses and writes, `https_server` listens, `handler` answers.
"""

import asyncio
from typing import Any

from actors.api import errors
from actors.apiserver.auth.authorizer import Authorizer
from actors.apiserver.auth.impersonation import impersonated
from actors.apiserver.auth.tokens import ServiceAccountTokens, StaticTokens
from actors.apiserver.call import ANONYMOUS, MAX_BODY_BYTES, Answer, ApiCall, Identity, StreamAnswer, of_error
from actors.apiserver.handler import Handler
from actors.apiserver.http_connection import Connection, Request

MAX_WARNINGS = 20  # Warning headers of one answer; more are cut, as they would burst a client's header limit


class HttpFront:
    def __init__(
        self,
        handler: Handler,
        authorizer: Authorizer,
        tokens: ServiceAccountTokens,
        static_tokens: StaticTokens,
        log: Any,
    ) -> None:
        self._handler = handler
        self._authorizer = authorizer
        self._tokens = tokens
        self._static_tokens = static_tokens
        self._log = log

    async def serve(self, connection: Connection, request: Request) -> None:
        """Answer one request on its connection."""
        answer: Answer | StreamAnswer
        call: ApiCall | None = None
        try:
            call = self._call_of(connection, request)
        except errors.ApiError as error:
            answer = of_error(error)
        else:
            answer = await self._handler.handle(call)
        if isinstance(answer, Answer):
            if self._handler.stopping:
                connection.closing = True
            head = _headers(answer) if call is None else call.answer_head + _headers(answer)
            connection.write_answer(answer, head, is_head=request.method == "HEAD")
        else:
            await self._stream(connection, answer, b"" if call is None else call.answer_head)

    def failed(self, error: BaseException) -> None:
        """A connection's own machinery broke: it is closed, and we are told."""
        self._log.error("a connection failed", error=repr(error), exc_info=error)

    def _call_of(self, connection: Connection, request: Request) -> ApiCall:
        """Raises ApiError when nobody may ask this, or nothing so large."""
        identity = self._authenticate(connection, request.authorization)
        if request.impersonation:
            identity = impersonated(self._authorizer, identity, request.impersonation)
        if request.body is None:
            raise errors.too_large(f"limit is {MAX_BODY_BYTES} bytes")
        path, _, query = request.url.partition(b"?")
        if not path.startswith(b"/"):
            raise errors.bad_request("the request's target must be a path")
        return ApiCall(
            identity,
            request.method,
            path.decode("latin-1"),
            query.decode("latin-1"),
            content_type=request.content_type,
            accept=request.accept,
            body=request.body,
            user_agent=request.user_agent,
        )

    def _authenticate(self, connection: Connection, authorization: bytes) -> Identity:
        if authorization[:7].lower() == b"bearer ":
            token = authorization[7:].strip().decode("latin-1")
            found = self._tokens.authenticate(token) or self._static_tokens.authenticate(token)
            if found is None:
                raise errors.unauthorized()
            return found
        return connection.identity or ANONYMOUS

    async def _stream(self, connection: Connection, answer: StreamAnswer, head: bytes) -> None:
        whole = False
        try:
            connection.begin_stream(answer.status, answer.content_type, head)
            if answer.push_to is not None:
                answer.push_to(connection.push_chunk)
            async for chunk in answer.chunks:
                await connection.write_chunk(chunk)
                if connection.is_lost:
                    return
            whole = True
        except errors.ApiError as error:
            self._log.info("a stream broke", error=error.message)  # too late for a Status
        except asyncio.CancelledError:
            if not connection.is_lost:
                raise
        finally:
            await answer.close()
            connection.end_stream(whole=whole)


def _headers(answer: Answer) -> bytes:
    if not answer.headers and not answer.warnings:
        return b""
    lines = [f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in answer.headers.items()]
    lines += [b"warning: " + _warning(text) + b"\r\n" for text in (answer.warnings or ())[:MAX_WARNINGS]]
    return b"".join(lines)


def _warning(text: str) -> bytes:
    """A Warning header of the miscellaneous persistent kind, as kubectl prints them."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(c if c.isprintable() else " " for c in quoted)
    return f'299 - "{printable}"'.encode("latin-1", "replace")
