"""From a call to an answer: parse, authorize, find the resource, do the verb, and turn every failure into a Status.

What a caller does wrong is an ApiError. What the state actor or the bus cannot do now becomes 429, 503 or 504. Anything
else is a bug of ours: it is logged with its traceback and answered with 500, and the server goes on, for no request may
bring down everybody else's API. (A broken watch cache is another matter, and does end the process.)

Neighbours: `http_front` and `bus_front` bring calls; `verbs` do the work; `nonresource` answers everything that is not
a resource.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from actors.api import errors
from actors.apiserver import encodings, nonresource
from actors.apiserver.audit.auditor import Auditor
from actors.apiserver.auth.authorizer import attributes
from actors.apiserver.call import (
    ANONYMOUS_USER,
    JSON,
    MAX_BODY_BYTES,
    Answer,
    AnswerEncoding,
    ApiCall,
    StreamAnswer,
    of_error,
)
from actors.apiserver.deadlines import Deadlines
from actors.apiserver.fairness.gate import Gate
from actors.apiserver.inflight import InFlight
from actors.apiserver.machinery.resource import COMPUTED, Resource
from actors.apiserver.metrics import RequestMetrics
from actors.apiserver.negotiation import negotiate
from actors.apiserver.protobuf import wire
from actors.apiserver.request_info import RequestInfo, parse
from actors.apiserver.server import Server
from actors.apiserver.streams.connect import attach, exec_, port_forward
from actors.apiserver.streams.proxy import proxy
from actors.apiserver.verbs.bind import bind
from actors.apiserver.verbs.component_statuses import component_statuses
from actors.apiserver.verbs.create import create
from actors.apiserver.verbs.delete import delete, delete_collection
from actors.apiserver.verbs.evict import evict
from actors.apiserver.verbs.finalize import finalize
from actors.apiserver.verbs.get import get
from actors.apiserver.verbs.list import list_
from actors.apiserver.verbs.log import log
from actors.apiserver.verbs.metrics import metrics
from actors.apiserver.verbs.patch import patch
from actors.apiserver.verbs.review import review
from actors.apiserver.verbs.scale import get_scale, patch_scale, update_scale
from actors.apiserver.verbs.token import create_token
from actors.apiserver.verbs.update import PARTS, update
from actors.apiserver.verbs.watch import watch
from actors.state.messages import COMPACTED, NO_SPACE, NOT_LEADER, REQUEST_TOO_LARGE
from bus import BusError, DeadlineExceeded, Overloaded, RemoteError, Unavailable

SOON_S = 1  # after which a client may ask again for what was not done, or may be done twice
HINT_PERIOD_S = 0.1  # at most one request in this time is told to onlookers

Verb = Callable[[Server, ApiCall, RequestInfo, Resource], Awaitable[Answer | StreamAnswer]]

_VERBS: Mapping[str, Verb] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
_SUBRESOURCES: Mapping[tuple[str, str], Verb] = {
    ("status", "get"): get,
    ("status", "update"): update,
    ("status", "patch"): patch,
    ("scale", "get"): get_scale,
    ("scale", "update"): update_scale,
    ("scale", "patch"): patch_scale,
    **{(part, verb): do for part in PARTS for verb, do in (("get", get), ("update", update), ("patch", patch))},
    ("binding", "create"): bind,
    ("eviction", "create"): evict,
    ("log", "get"): log,
    ("token", "create"): create_token,
    ("finalize", "update"): finalize,
    **{("exec", verb): exec_ for verb in ("create", "get")},
    **{("attach", verb): attach for verb in ("create", "get")},
    **{("portforward", verb): port_forward for verb in ("create", "get")},
    **{("proxy", verb): proxy for verb in ("create", "delete", "get", "options", "patch", "update")},
}
_READS = frozenset({"GET", "HEAD"})
_LASTING = frozenset({"log", "exec", "attach", "portforward", "proxy"})  # subresources that answer with a stream


TRANSLATED_AT_ONCE = 2  # long answers into YAML or Protobuf, in threads that share one core with everything else
DRAIN_S = 2.0  # for requests over the bus, at the end; those over HTTPS have been waited for


class Handler:
    """The API, whichever door a call comes through."""

    def __init__(
        self,
        server: Server,
        metrics: RequestMetrics,
        is_ready: Callable[[], dict[str, str]],
        hint: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._server = server
        self._hint = hint
        self._hint_after = 0.0
        self.metrics = metrics
        self.auditor: Auditor | None = None
        self.deadlines = Deadlines(server.clock)
        self._is_ready = is_ready
        self.in_flight = InFlight()
        config = server.config.apiserver
        seats = max(1, config.max_requests_inflight // config.processes)
        self.gate = Gate(server.cache, server.registry, server.clock, seats)
        self.stopping = False
        self._translations = asyncio.Semaphore(TRANSLATED_AT_ONCE)

    async def handle(self, call: ApiCall) -> Answer | StreamAnswer:
        """Answer a call; never raises but for cancellation."""
        info, trail, began = None, None, self._server.clock.monotonic()
        try:
            info = parse(call.method, call.raw_path, call.query)
            if self.auditor is not None:
                trail = self.auditor.begin(call, info)
            answer = await self._begin(call, info)
        except errors.ApiError as error:
            answer = of_error(error)
        except BusError as error:
            answer = of_error(of_bus_error(error, is_write=call.method not in ("GET", "HEAD")))
        except ValueError as error:
            if info is not None:
                answer = self._broken(call, error)
            else:
                answer = of_error(errors.bad_request(f"the query could not be read: {error}"))
        except Exception as error:  # noqa: BLE001 - see the module: one request's bug is not everybody's outage
            answer = self._broken(call, error)
        if trail is not None:
            trail.end(answer)
        if call.encoding is not None:
            answer = await self._translated(answer, call.encoding)
        self._count(call, info, answer, began)
        return answer

    async def _translated(self, answer: Answer | StreamAnswer, encoding: AnswerEncoding) -> Answer | StreamAnswer:
        if not encoding.takes_long(answer):
            return encoding.of(answer)
        async with self._translations:
            return await asyncio.to_thread(encoding.of, answer)

    async def drained(self) -> None:
        """Return when no request is being worked on, or a moment later."""
        running = self.deadlines.running()
        if running:
            await asyncio.wait(running, timeout=DRAIN_S)

    def refuse(self, call: ApiCall, error: errors.ApiError) -> Answer:
        """Answer a call that has come to nothing before it could be handled, and tell of it like of others."""
        answer = of_error(error)
        if error.code == 401:
            self.metrics.unauthenticated += 1
        if self.auditor is not None:
            with contextlib.suppress(ValueError):  # a query that cannot be read; its refusal is counted all the same
                trail = self.auditor.begin(call, parse(call.method, call.raw_path, call.query))
                if trail is not None:
                    trail.end(answer)
        self._count(call, None, answer, self._server.clock.monotonic())
        return answer

    def _count(self, call: ApiCall, info: RequestInfo | None, answer: Answer | StreamAnswer, began: float) -> None:
        now = self._server.clock.monotonic()
        size_bytes = answer.size_bytes if isinstance(answer, Answer) else None
        self.metrics.count(info, answer.status, now - began, size_bytes)
        if self._hint is not None and now >= self._hint_after:
            self._hint_after = now + HINT_PERIOD_S
            self._hint(_sample(call, answer))

    def _begin(self, call: ApiCall, info: RequestInfo) -> Awaitable[Answer | StreamAnswer]:
        """Return the work on a call. Raises ApiError for one that nobody may ask for like this.

        As few coroutines as may be lie around the work: each of them costs on the way in, on the way out, and at every
        wake in between. That is why what can be a plain function here is one.
        """
        identity = call.identity
        if call.accept != JSON or call.user_agent or "pretty" in call.query:
            self._choose_encoding(call, info)
        if identity.user == ANONYMOUS_USER and info.path not in nonresource.PUBLIC_PATHS:
            self._refuse_strangers(info.path)
        if len(call.body) > MAX_BODY_BYTES:
            raise errors.too_large(f"limit is {MAX_BODY_BYTES} bytes")
        if call.content_type.startswith(wire.MEDIA_TYPE):
            call.body, call.content_type = wire.to_json(call.body), JSON
        if info.is_resource and (info.verb == "watch" or info.subresource in _LASTING):
            return self._stream(call, info)
        return self._passing(call, info)

    def _refuse_strangers(self, path: str) -> None:
        """Raises ApiError Unauthorized, unless strangers may come in and be told what they may do."""
        paths = self._server.anonymous_paths
        if paths is not None and path not in paths:
            raise errors.unauthorized()

    def _choose_encoding(self, call: ApiCall, info: RequestInfo) -> None:
        """Where another encoding than JSON is wanted, have the answer translated, and let verbs think it is JSON."""
        encoding = encodings.wanted_by(call)
        if encoding is None or (info.subresource in _LASTING if info.is_resource else not _is_discovery(info.path)):
            return
        call.encoding, call.accept = encoding, encoding.accept

    async def _passing(self, call: ApiCall, info: RequestInfo) -> Answer | StreamAnswer:
        """Do it in time and within the limits, when its turn has come."""
        limits, gate = self.in_flight, self.gate
        is_read = call.method in _READS
        limits.admit(is_read)
        try:
            task = self.deadlines.begin(info, call.task)
            try:
                turn = gate.enter(call, info)
                if not turn.seated:
                    await gate.wait(turn)
                try:
                    return await self._do(call, info)
                finally:
                    gate.leave(turn)
            except asyncio.CancelledError as cancelled:
                raise self.deadlines.outcome(task, cancelled) from None
            finally:
                self.deadlines.end(task)
        finally:
            limits.leave(is_read)

    async def _watch(self, call: ApiCall, info: RequestInfo) -> Answer | StreamAnswer:
        """Begin a watch when its turn has come."""
        turn = self.gate.enter(call, info)
        if not turn.seated:
            await self.gate.wait(turn)
        try:
            return await self._do(call, info)
        finally:
            self.gate.leave(turn)

    async def _stream(self, call: ApiCall, info: RequestInfo) -> Answer | StreamAnswer:
        limits = self.in_flight
        if self.stopping:
            raise errors.unavailable("the API server is stopping", SOON_S)
        limits.admit_stream()
        answer: Answer | StreamAnswer | None = None
        try:
            answer = await (self._watch(call, info) if info.verb == "watch" else self._do(call, info))
        finally:
            if not isinstance(answer, StreamAnswer):
                limits.streams -= 1
        if isinstance(answer, Answer):
            return answer
        answer.when_closed(self._stream_ended)
        return answer

    def _stream_ended(self) -> None:
        self.in_flight.streams -= 1

    def _do(self, call: ApiCall, info: RequestInfo) -> Awaitable[Answer | StreamAnswer]:
        """Return the work itself, if it is allowed. Raises ApiError."""
        server = self._server
        if not info.is_resource:
            return self._nonresource(call, info)
        if server.authorizer.asks_others:
            return self._after_asking(call, info)
        server.authorizer.check(call.identity, info)
        return self._allowed(call, info)

    async def _after_asking(self, call: ApiCall, info: RequestInfo) -> Answer | StreamAnswer:
        await self._server.authorizer.check_by_all(call.identity, attributes(info))
        return await self._allowed(call, info)

    def _allowed(self, call: ApiCall, info: RequestInfo) -> Awaitable[Answer | StreamAnswer]:
        """Return the work on a request for a resource that its caller may make."""
        server = self._server
        if server.aggregator is not None and info.group:
            elsewhere = server.aggregator.remote_of(info.group, info.version)
            if elsewhere is not None:
                return elsewhere.forward(server, encodings.undone(call))
        resource = server.registry.lookup(info.group, info.version, info.resource)
        if resource is None or resource.warning:
            return self._found(call, info, resource)
        verb = self._verb(info, resource)
        if call.accept != JSON or call.encoding is not None:
            _check_accepted(call, info, resource)
        return verb(server, call, info, resource)

    async def _nonresource(self, call: ApiCall, info: RequestInfo) -> Answer | StreamAnswer:
        server = self._server
        if info.path not in nonresource.PUBLIC_PATHS:
            if server.authorizer.asks_others:
                await server.authorizer.check_by_all(call.identity, attributes(info))
            else:
                server.authorizer.check(call.identity, info)
        elsewhere = nonresource.elsewhere(server, info.path)
        if elsewhere is not None:
            return await elsewhere.forward(server, encodings.undone(call))
        return nonresource.answer(server, call, info, self._is_ready)

    async def _found(self, call: ApiCall, info: RequestInfo, resource: Resource | None) -> Answer | StreamAnswer:
        """Do it with a resource that is not known, for it may be a custom one, established a moment ago elsewhere; or
        with one that its users are warned of."""
        server = self._server
        if resource is None and "." in info.group:
            await server.barrier.fresh()
            resource = server.registry.lookup(info.group, info.version, info.resource)
        if resource is None:
            raise errors.path_not_found()
        verb = self._verb(info, resource)
        _check_accepted(call, info, resource)
        answer = await verb(server, call, info, resource)
        if resource.warning:
            self.metrics.deprecated.note(resource, info.subresource)
            if isinstance(answer, Answer):
                answer.warnings = [resource.warning, *(answer.warnings or ())]
        return answer

    def _verb(self, info: RequestInfo, resource: Resource) -> Verb:
        verb, subresource = info.verb, info.subresource
        if (info.tail and subresource != "proxy") or (
            info.namespace and not resource.namespaced and info.resource != "namespaces"
        ):
            raise errors.path_not_found()
        if subresource:
            offered = resource.subresources.get(subresource)
            if offered is None:
                raise errors.path_not_found()
            found = _SUBRESOURCES.get((subresource, verb))
            if found is None or (verb not in offered.verbs and verb != "options"):  # which a proxy passes on, untold
                raise errors.method_not_allowed()
            return found
        if verb not in resource.verbs or (verb in ("update", "patch") and not info.name):
            raise errors.method_not_allowed()
        if resource.verbs == COMPUTED:
            return metrics if resource.group else component_statuses
        if resource.is_virtual:
            return self._bind_by_name if resource.group_resource == "bindings" else review
        if resource.namespaced and not info.namespace:
            if info.name:
                raise errors.path_not_found()
            if verb == "deletecollection":  # of one namespace at a time
                raise errors.method_not_allowed()
        return _VERBS[verb]

    async def _bind_by_name(self, server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
        """POST of a Binding to the collection: the pod is the one of its metadata.name."""
        pods = server.registry.lookup("", "v1", "pods")
        assert pods is not None, "pods are built in"
        return await bind(server, call, info, pods)

    def _broken(self, call: ApiCall, error: Exception) -> Answer:
        self._server.log.error(
            "request failed", method=call.method, path=call.raw_path, error=repr(error), exc_info=error
        )
        return of_error(errors.internal(f"{type(error).__name__} while handling the request"))


def _is_discovery(path: str) -> bool:
    return path.startswith("/api")


def _check_accepted(call: ApiCall, info: RequestInfo, resource: Resource) -> None:
    """Refuse what could not be answered in any form that is accepted, before anything is done."""
    if info.subresource in _LASTING:
        return
    negotiate(call.accept)
    if call.encoding is not None:
        part = resource.subresources.get(info.subresource)
        api_version, kind = (part.group_version, part.kind) if part else (resource.api_version, resource.kind)
        call.encoding.check(api_version, kind, info.verb == "watch")


def _sample(call: ApiCall, answer: Answer | StreamAnswer) -> dict[str, Any]:
    """What an onlooker may learn of a request: never its body, nor its query."""
    return {"user": call.identity.user, "method": call.method, "path": call.raw_path, "status": answer.status}


def of_bus_error(error: BusError, is_write: bool) -> errors.ApiError:
    """What a caller learns when the state actor cannot answer. After a lost write nobody knows whether it happened."""
    if isinstance(error, DeadlineExceeded):
        outcome = "; the outcome of the write is unknown" if is_write else ""
        return errors.timeout(f"the state did not answer in time{outcome}", 0 if is_write else SOON_S)
    if isinstance(error, Overloaded):
        return errors.too_many_requests("the state is overloaded", max(1, error.retry_after_ms // 1000))
    if isinstance(error, Unavailable):
        return errors.unavailable("the state cannot be reached", SOON_S)
    if isinstance(error, RemoteError):
        if error.kind == REQUEST_TOO_LARGE:
            return errors.too_large(f"the object is too large to be stored: {error.message}")
        if error.kind == COMPACTED:
            return errors.gone(f"the wanted revision has been compacted: {error.message}")
        if error.kind == NOT_LEADER:
            return errors.unavailable("the state has no leader", SOON_S)
        if error.kind == NO_SPACE:
            return errors.internal(f"the state has no space left: {error.message}")
    return errors.internal(f"the state refused: {error.message}")
