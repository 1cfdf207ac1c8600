"""pods/log: a container's log, asked of the kubelet that runs it and handed on as it comes.

Neighbours: `kubelets` asks over the bus.
"""

from collections.abc import AsyncGenerator
from typing import Any

from actors.api import errors
from actors.api.errors import Cause
from actors.apiserver.call import Answer, ApiCall, StreamAnswer
from actors.apiserver.integers import whole
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.schema.leaves import Mistyped, parse_time
from actors.apiserver.reads import settle
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.kubelet.messages import LogsRequest

TEXT = "text/plain"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def log(server: Server, call: ApiCall, info: RequestInfo, pods: Resource) -> Answer | StreamAnswer:
    await settle(server, "")
    entry = server.cache.of(pods).entries.get(pods.key(info.namespace, info.name))
    if entry is None:
        raise errors.not_found("pods", info.name)
    pod = entry.decode()
    request = _request(info, pod)
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        return Answer(200, b"", TEXT)
    chunks = server.kubelets.logs(node, request)
    try:
        first = await anext(chunks)  # a refusal comes before any byte, and is then answered as a Status
    except StopAsyncIteration:
        return Answer(200, b"", TEXT)
    return StreamAnswer(_all(first, chunks), TEXT)


async def _all(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()


def _request(info: RequestInfo, pod: dict[str, Any]) -> LogsRequest:
    """Read PodLogOptions of the query. Raises ApiError."""
    query = info.query
    request = LogsRequest(
        namespace=info.namespace,
        pod=info.name,
        container=container_name(pod, query.get("container", "")),
        uid=pod["metadata"]["uid"],
        follow=_flag(query, "follow"),
        previous=_flag(query, "previous"),
        tail_lines=_whole(query, "tailLines", 0),
        since_seconds=_whole(query, "sinceSeconds", 1),
        since_time=_moment(query.get("sinceTime", "")),
        timestamps=_flag(query, "timestamps"),
        limit_bytes=_whole(query, "limitBytes", 1),
        stream_name=query.get("stream") or "All",
    )
    if request.since_seconds is not None and request.since_time:
        raise _invalid(
            "sinceSeconds", "at most one of `sinceTime` or `sinceSeconds` may be specified", "FieldValueForbidden"
        )
    return request


def container_name(pod: dict[str, Any], wanted: str) -> str:
    """Return the container that is meant: the wanted one, the only one, or the default. Raises ApiError."""
    spec = pod.get("spec") or {}
    names = [
        c["name"] for part in ("containers", "initContainers", "ephemeralContainers") for c in spec.get(part) or ()
    ]
    name = pod["metadata"]["name"]
    if wanted:
        if wanted not in names:
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    main = [c["name"] for c in spec.get("containers") or ()]
    if len(main) == 1:
        return main[0]
    default = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    if default in main:
        return default
    choices = " ".join(main)
    message = f"a container name must be specified for pod {name}, choose one of: [{choices}]"
    init = [c["name"] for c in spec.get("initContainers") or ()]
    if init:
        message += f" or one of the init containers: [{' '.join(init)}]"
    raise errors.bad_request(message)


def _flag(query: dict[str, str], name: str) -> bool:
    return name in query and is_true(query[name])


def _moment(text: str) -> str:
    """Return a time as it was written. Raises ApiError BadRequest when it is none."""
    try:
        if text:
            parse_time(text)
    except Mistyped as error:
        raise errors.bad_request(str(error)) from error
    return text


def _whole(query: dict[str, str], name: str, least: int) -> int | None:
    number = whole(name, query.get(name, ""))
    if number is not None and number < least:
        raise _invalid(name, f"Invalid value: {number}: must be greater than or equal to {least}", "FieldValueInvalid")
    return number


def _invalid(field: str, message: str, reason: str) -> errors.ApiError:
    return errors.invalid("PodLogOptions", "", [Cause(reason, message, field)])
