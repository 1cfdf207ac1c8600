"""The gRPC server of one state actor: TLS, the services, and what becomes of errors.

A client must show a certificate of the etcd authority, which signs nobody else's: whoever comes in may read and change
everything. Without TLS it serves on loopback only.

What a service raises as EtcdFault or BusError is its answer. Anything else is a broken invariant: the client hears so,
and the actor ends.

Neighbours: `actor` opens it when the config asks for it; the other modules of this room are the services.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode, aio

from actors.api.addresses import Address, is_loopback
from actors.api.etcd.rpc import SERVICES, Method, methods_of
from actors.state.etcd.authentication import AuthHandler
from actors.state.etcd.fault import EtcdFault, fault_of
from actors.state.etcd.health import HealthHandler
from actors.state.messages import MAX_REQUEST_BYTES
from bus.errors import BusError

OVERHEAD_BYTES = 512 * 1024  # of a message beside its keys and values, as etcd allows
MAX_STREAMS = 10_000  # of one connection
STOP_S = 0.2  # for calls that are under way, at the end; a stream never ends by itself

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES + OVERHEAD_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.so_reuseport", 0),  # a port that is taken must be seen
    # Clients of etcd ping every few seconds, with no call under way too; gRPC would take that for an attack.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
]


Decode = Callable[[Any], Any]  # of a request's bytes, or of a stream of them


class CannotListen(Exception):
    """The address is taken, is not this machine's, or must not be served without TLS."""


class Front:
    """Serves objects whose methods have the names of etcd's."""

    def __init__(self, services: dict[str, Any], is_serving: Callable[[], bool], fail: Callable[[Exception], None]):
        assert set(services) == set(SERVICES)
        self._services = services
        self._is_serving = is_serving
        self._fail = fail
        self._server: aio.Server | None = None

    async def start(self, address: Address, tls: Path | None) -> int:
        """Listen, with the keys in a directory; return the port. Raises CannotListen, OSError."""
        server = aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((AuthHandler(), HealthHandler(self._is_serving)))
        for name in SERVICES:
            handlers = {method.name: self._handler(self._services[name], method) for method in methods_of(name)}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"etcdserverpb.{name}", handlers),))
        try:
            if tls is not None:
                found = server.add_secure_port(str(address), _credentials(tls))
            elif is_loopback(address.host):
                found = server.add_insecure_port(str(address))
            else:
                raise CannotListen(f"{address}: without TLS only on loopback")
        except RuntimeError as error:
            raise CannotListen(f"{address}: {error}") from error
        await server.start()
        self._server = server
        return int(found)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(STOP_S)

    def _handler(self, service: Any, method: Method) -> grpc.RpcMethodHandler:
        function = getattr(service, method.name)
        # Requests are decoded here and not by gRPC, which would take bytes that are no message for a fault of ours.
        encode = {"response_serializer": method.encode_response}
        if method.takes_stream:
            return grpc.stream_stream_rpc_method_handler(self._streaming(function, _each(method)), **encode)
        if method.gives_stream:
            return grpc.unary_stream_rpc_method_handler(self._streaming(function, _one(method)), **encode)
        return grpc.unary_unary_rpc_method_handler(self._unary(function, _one(method)), **encode)

    def _unary(self, function: Callable[..., Any], decode: Decode) -> Callable[..., Any]:
        async def answer(request: Any, context: Any) -> Any:
            try:
                return await function(decode(request), context)
            except EtcdFault as fault:
                await context.abort(fault.code, fault.text)
            except BusError as error:
                told = fault_of(error)
                await context.abort(told.code, told.text)
            except Exception as error:  # noqa: BLE001 - it ends the process, which gRPC would keep alive
                await self._break(error, context)

        return answer

    def _streaming(self, function: Callable[..., Any], decode: Decode) -> Callable[..., Any]:
        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                async for item in function(decode(request), context):
                    yield item
            except EtcdFault as fault:
                await context.abort(fault.code, fault.text)
            except BusError as error:
                told = fault_of(error)
                await context.abort(told.code, told.text)
            except (aio.AbortError, aio.UsageError, asyncio.InvalidStateError):
                raise  # of gRPC's own: the client went away
            except Exception as error:  # noqa: BLE001 - it ends the process, which gRPC would keep alive
                await self._break(error, context)

        return answer

    async def _break(self, error: Exception, context: Any) -> None:
        self._fail(error)
        await context.abort(StatusCode.INTERNAL, "etcdserver: internal error")


def _one(method: Method) -> Decode:
    def decode(data: bytes) -> Any:
        try:
            return method.decode_request(data)
        except DecodeError as error:
            raise EtcdFault((StatusCode.INVALID_ARGUMENT, f"etcdserver: not a request of {method.name}")) from error

    return decode


def _each(method: Method) -> Decode:
    decode = _one(method)

    async def decoded(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in requests:
            yield decode(data)

    return decoded


def _credentials(tls: Path) -> grpc.ServerCredentials:
    pair = (tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes()
    return grpc.ssl_server_credentials([pair], (tls / "ca.crt").read_bytes(), require_client_auth=True)
