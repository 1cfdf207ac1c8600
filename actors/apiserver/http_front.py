"""The HTTPS door: makes calls of requests and writes answers.

Authentication: a bearer token if there is one, else the connection's client certificate, else nobody. A token that is
not good is refused with 401, whatever certificate came with it.

Neighbours: `http_connection` parses and writes, `https_server` listens, `handler` answers.
"""

import asyncio
from itertools import count
from typing import Any

from actors.api import errors
from actors.apiserver import compression
from actors.apiserver.auth.authorizer import Authorizer
from actors.apiserver.auth.bearer import BearerTokens
from actors.apiserver.auth.impersonation import impersonated
from actors.apiserver.call import (
    ANONYMOUS,
    MAX_BODY_BYTES,
    Answer,
    ApiCall,
    Identity,
    LongAnswer,
    StreamAnswer,
    UpgradeAnswer,
)
from actors.apiserver.handler import Handler
from actors.apiserver.http_connection import Connection
from actors.apiserver.http_request import Request
from actors.apiserver.machinery.uids import new_uid
from actors.apiserver.streams.wire import WireClosed

MAX_AUDIT_ID_CHARS = 64  # of one that a client chose; a longer one would fill the log, and is not used
MAX_WARNINGS = 20  # Warning headers of one answer; more are cut, as they would burst a client's header limit


class HttpFront:
    def __init__(
        self,
        handler: Handler,
        authorizer: Authorizer,
        bearer: BearerTokens,
        log: Any,
    ) -> None:
        self._handler = handler
        self._authorizer = authorizer
        self._bearer = bearer
        self._log = log
        drawn = new_uid()  # one for all requests, with a number at its end: to draw one for each takes longer
        self._audit_prefix, self._audit_numbers = drawn[:-12], count(int(drawn[-12:], 16) >> 1)

    async def serve(self, connection: Connection, request: Request) -> None:
        """Answer one request on its connection."""
        answer: Answer | StreamAnswer
        call = _call_of(request)
        call.audit_id = _wanted_audit_id(request) or f"{self._audit_prefix}{next(self._audit_numbers):012x}"
        call.source = connection.source
        call.task = connection.worker
        try:
            identity = self._authenticate(connection, request.authorization)
            if identity is None:
                identity = await self._authenticate_slowly(connection.token or "")
            self._prepare(call, identity, request)
        except errors.ApiError as error:
            answer = self._handler.refuse(call, error)
        else:
            answer = await self._handler.handle(call)
        if isinstance(answer, Answer):
            if self._handler.stopping:
                connection.closing = True
            head = b"audit-id: %b\r\n%b%b" % (call.audit_id.encode("latin-1"), call.answer_head, _headers(answer))
            if answer.size_bytes > compression.GZIP_FROM_BYTES and compression.wanted_for(request, answer):
                await self._compressed(connection, answer, head + compression.HEAD)
            elif isinstance(answer, LongAnswer) and request.method != "HEAD":
                await connection.write_long_answer(answer, head)
            else:
                connection.write_answer(answer, head, is_head=request.method == "HEAD")
        elif isinstance(answer, UpgradeAnswer):
            await self._upgrade(connection, answer)
        else:
            head = b"audit-id: %b\r\n%b%b" % (call.audit_id.encode("latin-1"), _headers(answer), call.answer_head)
            await self._stream(connection, answer, head)

    def failed(self, error: BaseException) -> None:
        """A connection's own machinery broke: it is closed, and we are told."""
        self._log.error("a connection failed", error=repr(error), exc_info=error)

    def _prepare(self, call: ApiCall, identity: Identity, request: Request) -> None:
        """Say in a call who asks. Raises ApiError when nobody may ask this, or nothing so large."""
        call.identity = identity
        if request.impersonation:
            call.identity = impersonated(self._authorizer, identity, request.impersonation)
            call.impersonator = identity
        if request.body is None:
            raise errors.too_large(f"limit is {MAX_BODY_BYTES} bytes")
        if not call.raw_path.startswith("/"):
            raise errors.bad_request("the request's target must be a path")

    def _authenticate(self, connection: Connection, authorization: bytes) -> Identity | None:
        """Return who asks; None when it cannot be told without asking somebody else."""
        if authorization != connection.authorization:
            connection.authorization, connection.token = authorization, _token(authorization)
        if connection.token is None:
            return connection.identity or ANONYMOUS
        return self._bearer.authenticate(connection.token)

    async def _authenticate_slowly(self, token: str) -> Identity:
        """Raises ApiError Unauthorized when a token is nobody's."""
        found = await self._bearer.authenticate_slowly(token)
        if found is None:
            raise errors.unauthorized()
        return found

    async def _compressed(self, connection: Connection, answer: Answer, head: bytes) -> None:
        """Write an answer compressed: piece by piece where it comes in pieces, for then its length is not known."""
        if not isinstance(answer, LongAnswer):
            connection.write_answer(await compression.compressed(answer), head, is_head=False)
            return
        whole = False
        try:
            connection.begin_stream(answer.status, answer.content_type, head)
            async for piece in compression.pieces(answer):
                await connection.write_chunk(piece)
                if connection.is_lost:
                    return
            whole = True
        finally:
            connection.end_stream(whole=whole)

    async def _upgrade(self, connection: Connection, answer: UpgradeAnswer) -> None:
        """Leave the connection to another protocol until that is done with it; then it is closed."""
        try:
            await answer.run(connection.take_over(_headers(answer)))
        except WireClosed:
            return
        except asyncio.CancelledError:
            if not connection.is_lost:
                raise
        finally:
            await answer.close()

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
            try:
                await answer.close()
            finally:
                connection.end_stream(whole=whole)


def _call_of(request: Request) -> ApiCall:
    """The call of a request, nobody's as yet."""
    path, _, query = request.url.partition(b"?")
    return ApiCall(
        ANONYMOUS,
        request.method,
        path.decode("latin-1"),
        query.decode("latin-1"),
        content_type=request.content_type,
        accept=request.accept,
        body=request.body or b"",
        user_agent=request.user_agent,
        upgrade=_upgrade_of(request) if request.upgrades else "",
        others=request.others,
    )


def _wanted_audit_id(request: Request) -> str:
    """Return the id by which the client wants a request to be known; empty if it does not care."""
    for name, value in request.others:
        if name == b"audit-id" and len(value) <= MAX_AUDIT_ID_CHARS:
            return value.decode("latin-1")
    return ""


def _upgrade_of(request: Request) -> str:
    """Return the protocol that a request wants to change to."""
    return next((value.decode("latin-1").strip() for name, value in request.others if name == b"upgrade"), "")


def _headers(answer: Answer | StreamAnswer) -> bytes:
    warnings = answer.warnings if isinstance(answer, Answer) else None
    if not answer.headers and not warnings:
        return b""
    lines = [f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in answer.headers.items()]
    lines += [b"warning: " + _warning(text) + b"\r\n" for text in (warnings or ())[:MAX_WARNINGS]]
    return b"".join(lines)


def _token(authorization: bytes) -> str | None:
    """Return the token of an Authorization header; None when it is of another kind, or empty."""
    return authorization[7:].strip().decode("latin-1") if authorization[:7].lower() == b"bearer " else None


def _warning(text: str) -> bytes:
    """A Warning header of the miscellaneous persistent kind, as kubectl prints them."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(c if c.isprintable() else " " for c in quoted)
    return f'299 - "{printable}"'.encode("latin-1", "replace")
