"""gRPC to one containerd: a channel, the methods of its services, a deadline on every call.

The methods come out of the generated modules' descriptors, so that there is one table of names: the `.proto` files.

What can go wrong: containerd is away or restarts. The next call finds it again; meanwhile calls fail at once with
`RuntimeUnreachable`. A call that ran into its deadline may have happened.

Neighbours: `grpc_channel` speaks gRPC, `faults` knows what refusals mean; `driver` calls.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from actors.kubelet.containerd.faults import fault_of
from actors.kubelet.containerd.proto import containers_pb2, cri_pb2, events_pb2, leases_pb2, snapshots_pb2, tasks_pb2
from actors.kubelet.grpc_channel import Channel
from actors.kubelet.grpc_wire import CallFailed
from actors.kubelet.runtime import RuntimeUnreachable

MAX_MESSAGE_BYTES = 40 * 1024 * 1024  # an ExecSync answer may hold 16 MiB of stdout and as much of stderr
NAMESPACE = "k8s.io"  # where containerd's CRI keeps its images and containers
METADATA = (("containerd-namespace", NAMESPACE),)

_SERVICES = (
    (cri_pb2, "RuntimeService"),
    (cri_pb2, "ImageService"),
    (events_pb2, "Events"),
    (tasks_pb2, "Tasks"),
    (containers_pb2, "Containers"),
    (snapshots_pb2, "Snapshots"),
    (leases_pb2, "Leases"),
)


@dataclass(frozen=True, slots=True)
class _Method:
    path: str
    decode: Callable[[bytes], Any]


def _methods_of(service: ServiceDescriptor) -> dict[str, _Method]:
    return {method.name: _method_of(service, method) for method in service.methods}


def _method_of(service: ServiceDescriptor, method: MethodDescriptor) -> _Method:
    return _Method(f"/{service.full_name}/{method.name}", GetMessageClass(method.output_type).FromString)


class Connection:
    """The services of one containerd."""

    def __init__(self, socket: Path):
        self.socket = socket
        self._channel = Channel.unix(str(socket), MAX_MESSAGE_BYTES)
        self._methods: dict[str, _Method] = {}
        for module, service in _SERVICES:
            self._methods |= _methods_of(module.DESCRIPTOR.services_by_name[service])

    async def call(self, method: str, request: Message, timeout_s: float | None) -> Any:
        """Call a method by its name in the `.proto` files; raises a RuntimeFault. `timeout_s` None: for ever."""
        known = self._methods[method]
        try:
            answer = await self._channel.unary(known.path, request.SerializeToString(), timeout_s, METADATA)
        except CallFailed as error:
            raise fault_of(error.code, error.details) from error
        return known.decode(answer)

    async def stream(self, method: str, request: Message) -> AsyncGenerator[Any, None]:
        """Yield what a streaming method answers until the reader closes; raises a RuntimeFault when it breaks."""
        known = self._methods[method]
        try:
            async with aclosing(self._channel.stream(known.path, request.SerializeToString())) as answers:
                async for answer in answers:
                    yield known.decode(answer)
        except CallFailed as error:
            raise fault_of(error.code, error.details) from error

    @property
    def connected(self) -> bool:
        return self._channel.is_connected

    async def connect(self, timeout_s: float) -> None:
        """Return when the connection is there; RuntimeUnreachable when there is none, or that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.connected()
        except CallFailed as error:
            raise fault_of(error.code, error.details) from error
        except TimeoutError as error:
            raise RuntimeUnreachable(f"containerd does not answer at {self.socket}") from error

    async def close(self, grace_s: float = 0.0) -> None:
        """Close, once the calls that are under way have ended, or the grace."""
        await self._channel.close(grace_s)
