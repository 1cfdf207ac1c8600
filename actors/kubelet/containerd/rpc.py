"""gRPC to one containerd: a channel, the methods of its services, a deadline on every call.

The methods come out of the generated modules' descriptors, so that there is one table of names: the `.proto` files.
gRPC owns threads and must not exist before a fork: this module is imported by `driver.open`, in the kubelet's own
process, and by nothing else. Imported by the warm parent, and used after the fork, it made all processes together 15
MB larger.

What can go wrong: containerd is away or restarts. The channel reconnects by itself; meanwhile calls fail at once with
`RuntimeUnreachable`. A call that ran into its deadline may have happened.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

# The kubelet forks only to execute other programs; gRPC's handlers for forks would be run, and complain, each time.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from actors.kubelet.containerd.faults import fault_of
from actors.kubelet.containerd.proto import containers_pb2, cri_pb2, events_pb2, leases_pb2, snapshots_pb2, tasks_pb2
from actors.kubelet.runtime import RuntimeUnreachable

MAX_MESSAGE_BYTES = 40 * 1024 * 1024  # an ExecSync answer may hold 16 MiB of stdout and as much of stderr
NAMESPACE = "k8s.io"  # where containerd's CRI keeps its images and containers

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A restarted containerd is back within half a second; gRPC's own defaults would look again after one to 120 s.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
]

_SERVICES = (
    (cri_pb2, "RuntimeService"),
    (cri_pb2, "ImageService"),
    (events_pb2, "Events"),
    (tasks_pb2, "Tasks"),
    (containers_pb2, "Containers"),
    (snapshots_pb2, "Snapshots"),
    (leases_pb2, "Leases"),
)


class Connection:
    """The services of one containerd."""

    def __init__(self, socket: Path):
        self.socket = socket
        self._channel = aio.insecure_channel(f"unix://{socket}", options=_OPTIONS)
        self._methods: dict[str, Callable[..., Any]] = {}
        for module, service in _SERVICES:
            self._add(module.DESCRIPTOR.services_by_name[service])

    def _add(self, service: ServiceDescriptor) -> None:
        for method in service.methods:
            self._methods[method.name] = self._bind(f"/{service.full_name}/{method.name}", method)

    def _bind(self, path: str, method: MethodDescriptor) -> Callable[..., Any]:
        kind = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        bound: Callable[..., Any] = kind(
            path,
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return bound

    async def call(self, method: str, request: Message, timeout_s: float | None) -> Any:
        """Call a method by its name in the `.proto` files; raises a RuntimeFault. `timeout_s` None: for ever."""
        try:
            return await self._methods[method](
                request, timeout=timeout_s, metadata=(("containerd-namespace", NAMESPACE),)
            )
        except aio.AioRpcError as error:
            raise fault_of(error.code().name, error.details() or "") from error

    async def stream(self, method: str, request: Message) -> AsyncGenerator[Any, None]:
        """Yield what a streaming method answers until the reader closes; raises a RuntimeFault when it breaks."""
        call = self._methods[method](request)
        try:
            async for item in call:
                yield item
        except aio.AioRpcError as error:
            raise fault_of(error.code().name, error.details() or "") from error
        finally:
            call.cancel()

    @property
    def connected(self) -> bool:
        return bool(self._channel.get_state() == grpc.ChannelConnectivity.READY)

    async def connect(self, timeout_s: float) -> None:
        """Return when the connection is there; RuntimeUnreachable when that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.channel_ready()
        except TimeoutError as error:
            raise RuntimeUnreachable(f"containerd does not answer at {self.socket}") from error

    async def close(self, grace_s: float = 0.0) -> None:
        """Close, once the calls that are under way have ended, or the grace."""
        await self._channel.close(grace_s or None)
