"""The bus door: the same calls and answers as over HTTPS, from other actors.

The sender's role says who it is; the bus has checked that it is the sender. An answer that goes on is only for
`api.stream`; a short log may also be had by `api.request`.

Neighbours: `messages` is the wire, `handler` answers.
"""

from collections.abc import AsyncIterator

import orjson

from actors.api import errors
from actors.apiserver.auth.bus_identity import BusIdentities
from actors.apiserver.call import Answer, ApiCall, StreamAnswer, of_error
from actors.apiserver.handler import Handler
from actors.apiserver.health import is_health
from actors.apiserver.messages import STATUS, ApiChunk, ApiReply, ApiRequest, ApiStreamRequest
from bus import Context, Overloaded, Refused, RemoteError

USER_AGENT_OF_ROLE = {  # the names by which managed fields know Kubernetes' components
    "controller-manager": "kube-controller-manager",
    "proxy": "kube-proxy",
    "scheduler": "kube-scheduler",
}
STOPPING_RETRY_MS = 100  # what callers are told; another API server answers at once
MAX_COLLECTED_BYTES = 16 << 20  # of a stream that was asked for by api.request


class BusFront:
    def __init__(self, handler: Handler, identities: BusIdentities) -> None:
        self._handler = handler
        self._identities = identities

    async def request(self, request: ApiRequest, context: Context) -> ApiReply:
        self._turn_away(request.path)
        call = self._call(context, request.verb, request.path, request.query)
        call.content_type = request.content_type
        call.accept = request.accept
        call.body = request.body
        answer = await self._handler.handle(call)
        if isinstance(answer, StreamAnswer):
            answer = await _collected(answer, call)
        headers = dict(answer.headers)
        if answer.warnings:
            headers["Warning"] = "\n".join(answer.warnings)
        return ApiReply(answer.status, answer.content_type, answer.body, headers)

    async def stream(self, request: ApiStreamRequest, context: Context) -> AsyncIterator[ApiChunk]:
        self._turn_away(request.path)
        call = self._call(context, "GET", request.path, request.query)
        call.unhurried = request.unhurried
        answer = await self._handler.handle(call)
        if isinstance(answer, Answer):
            if answer.status >= 300:
                status = orjson.loads(answer.body)
                raise RemoteError(status["message"], status, STATUS)
            yield ApiChunk(answer.body)
            return
        try:
            async for chunk in answer.chunks:
                yield ApiChunk(chunk)
        except errors.ApiError as error:
            raise RemoteError(error.message, error.status(), STATUS) from error
        finally:
            await answer.close()

    def _turn_away(self, path: str) -> None:
        """At the end of its life it takes nothing new: the caller knows that nothing was done, and asks another."""
        if self._handler.stopping and not is_health(path):
            raise Overloaded("the API server is stopping", {"retry_after_ms": STOPPING_RETRY_MS})

    def _call(self, context: Context, method: str, path: str, query: str) -> ApiCall:
        identity = self._identities.of(context.sender, context.role)
        if identity is None:
            raise Refused(f"{context.sender} has no identity in the API")
        agent = USER_AGENT_OF_ROLE.get(context.role, context.role)
        return ApiCall(identity, method, path, query, accept="application/json", user_agent=agent)


async def _collected(answer: StreamAnswer, call: ApiCall) -> Answer:
    """The whole of a stream that ends by itself; a watch is refused, for it does not."""
    try:
        if answer.content_type.startswith("application/json"):
            return of_error(errors.bad_request("a watch is asked for with api.stream"))
        parts, size = [], 0
        async for chunk in answer.chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_COLLECTED_BYTES:
                return of_error(errors.too_large(f"the answer is longer than {MAX_COLLECTED_BYTES} bytes; stream it"))
        return Answer(answer.status, b"".join(parts), answer.content_type)
    except errors.ApiError as error:
        return of_error(error)
    finally:
        await answer.close()
