"""What the kubelet answers on the bus: logs and commands of its containers.

Neighbours: `messages` declares the requests, `logs` reads files, the driver runs commands.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from actors.api.meta import parse_time
from actors.kubelet import pod as pods
from actors.kubelet.logs.file_watch import FileWatch
from actors.kubelet.logs.reader import LogOptions, LogReader
from actors.kubelet.messages import (
    BAD_REQUEST,
    MAX_EXEC_OUTPUT_BYTES,
    NOT_FOUND,
    NOT_RUNNING,
    TIMEOUT,
    ExecReply,
    ExecRequest,
    LogChunk,
    LogsRequest,
)
from actors.kubelet.observed import PodRuntime, has_exited, is_running
from actors.kubelet.runtime import ContainerStatus, ExecTimeout, RuntimeDriver, RuntimeFault
from bus import Context, RemoteError, Server
from runtime.clock import Clock

LOOK_S = 0.5  # how often the end of a silent container is looked for; no call, only the kubelet's own cache
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

Found = tuple[pods.Pod, Callable[[], PodRuntime], RuntimeDriver]
Find = Callable[[str], Found | None]  # pod key -> the pod, its present state in the runtime, the node's driver


class Serving:
    def __init__(self, find: Find, clock: Clock):
        self._find, self._clock = find, clock

    def register(self, server: Server) -> None:
        server.register(LogsRequest, self.logs)
        server.register(ExecRequest, self.exec)

    async def logs(self, request: LogsRequest, context: Context) -> AsyncGenerator[LogChunk, None]:
        pod, look, _ = find_pod(self._find, request.namespace, request.pod, request.uid)
        container = container_of(pod, request.container)
        status = _instance(pod, container["name"], look(), request.previous)
        yield LogChunk(b"")  # found: whoever follows a silent container learns that at once
        if not status.log_path:
            return
        reader = LogReader(Path(status.log_path), self._options(request))
        try:
            if request.follow:
                async for data in _follow(reader, status, look):
                    yield LogChunk(data)
            else:
                for data in reader.read():
                    yield LogChunk(data)
        finally:
            reader.close()

    async def exec(self, request: ExecRequest, context: Context) -> ExecReply:
        pod, look, driver = find_pod(self._find, request.namespace, request.pod, request.uid)
        container = container_of(pod, request.container)
        status = look().newest(container["name"])
        if status is None or not is_running(status):
            raise RemoteError(f"container {container['name']} is not running", kind=NOT_RUNNING)
        if not request.command:
            raise RemoteError("you must specify at least one command for the container", kind=BAD_REQUEST)
        timeout_s = request.timeout_s or context.time_left_s
        try:
            result = await driver.exec_sync(status.container.id, request.command, timeout_s)
        except ExecTimeout as error:
            raise RemoteError(str(error), kind=TIMEOUT) from error
        except RuntimeFault as error:
            raise RemoteError(str(error), kind=NOT_RUNNING) from error
        return ExecReply(result.exit_code, result.stdout[:MAX_EXEC_OUTPUT_BYTES], result.stderr[:MAX_EXEC_OUTPUT_BYTES])

    def _options(self, request: LogsRequest) -> LogOptions:
        if request.since_seconds is not None and request.since_time:
            raise RemoteError("at most one of sinceTime or sinceSeconds may be specified", kind=BAD_REQUEST)
        since_s: float | None = None
        if request.since_seconds is not None:
            since_s = self._clock.wall() - request.since_seconds
        elif request.since_time:
            try:
                since_s = parse_time(request.since_time)
            except ValueError as error:
                raise RemoteError(f"sinceTime: {error}", kind=BAD_REQUEST) from error
        return LogOptions(
            tail_lines=request.tail_lines,
            since_s=since_s,
            timestamps=request.timestamps,
            limit_bytes=request.limit_bytes,
            stream=request.stream_name,
        )


def find_pod(find: Find, namespace: str, name: str, uid: str) -> Found:
    """Return the pod of that name on this node; it must have the uid, if one is given."""
    found = find(f"{namespace}/{name}")
    if found is None or (uid and found[0]["metadata"]["uid"] != uid):
        raise RemoteError(f'pod "{name}" is not on this node', kind=NOT_FOUND)
    return found


def container_of(pod: pods.Pod, wanted: str) -> dict[str, Any]:
    """Return the container that is meant; where none is named, the default or the only one."""
    if wanted:
        container = pods.find_container(pod, wanted)
        if container is None:
            raise RemoteError(f"container {wanted} is not valid for pod {pods.name(pod)}", kind=BAD_REQUEST)
        return container
    default = pods.find_container(pod, pods.annotations(pod).get(DEFAULT_CONTAINER, ""))
    if default is not None:
        return default
    if len(list(pods.all_containers(pod))) == 1:
        return pods.containers(pod)[0]
    names = " ".join(item["name"] for item in pods.all_containers(pod))
    message = f"a container name must be specified for pod {pods.name(pod)}, choose one of: [{names}]"
    raise RemoteError(message, kind=BAD_REQUEST)


def _instance(pod: pods.Pod, name: str, runtime: PodRuntime, previous: bool) -> ContainerStatus:
    """Return the instance whose log is meant: the newest that has run, or the one that ended before it."""
    newest = runtime.newest(name)
    begun = [item for item in runtime.instances(name) if item.started_ns or has_exited(item)]
    if previous:
        ended = [item for item in begun if item is not newest or (has_exited(item) and _waits(pod, name))]
        if not ended:
            message = f'previous terminated container "{name}" in pod "{pods.name(pod)}" not found'
            raise RemoteError(message, kind=BAD_REQUEST)
        return ended[0]
    if not begun:
        status = pods.recorded_status(pod, name) or {}
        reason = ((status.get("state") or {}).get("waiting") or {}).get("reason") or "ContainerCreating"
        message = f'container "{name}" in pod "{pods.name(pod)}" is waiting to start: {reason}'
        raise RemoteError(message, kind=NOT_RUNNING)
    return begun[0]


def _waits(pod: pods.Pod, name: str) -> bool:
    """Tell whether the API shows a container as waiting: then its last instance is its previous one."""
    return "waiting" in ((pods.recorded_status(pod, name) or {}).get("state") or {})


async def _follow(
    reader: LogReader, status: ContainerStatus, look: Callable[[], PodRuntime]
) -> AsyncGenerator[bytes, None]:
    """Yield the log as it grows, until its container has ended and all of it was read."""
    while True:
        async with FileWatch(Path(status.log_path)) as watch:
            while True:
                ended = not _is_alive(status, look())
                for data in reader.read():
                    yield data
                if ended or reader.is_full:
                    return
                if reader.was_rotated():
                    for data in reader.read():
                        yield data
                    reader.begin_next()
                    break
                await _changed(watch, status, look)


async def _changed(watch: FileWatch, status: ContainerStatus, look: Callable[[], PodRuntime]) -> None:
    """Wait until the file changes, or for a moment: the end of a container does not touch its log."""
    while _is_alive(status, look()):
        try:
            async with asyncio.timeout(LOOK_S):
                await watch.changed()
                return
        except TimeoutError:
            continue


def _is_alive(status: ContainerStatus, runtime: PodRuntime) -> bool:
    return any(item.container.id == status.container.id and is_running(item) for item in runtime.containers)
