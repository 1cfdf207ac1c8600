"""gRPC's health service: SERVING while this member knows of a leader and can take writes.

Its two messages hold one field each, so they are written by hand here; a generated module of the same names would clash
with any library that brings its own.

Neighbours: `front` serves it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

PREFIX = "/grpc.health.v1.Health/"
SERVICE_FIELD = b"\x0a"  # field 1, a string: the service that is asked for
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # field 1, an enum
LOOK_EVERY_S = 1.0


class HealthHandler(grpc.GenericRpcHandler):
    def __init__(self, is_serving: Callable[[], bool]):
        self._is_serving = is_serving

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if handler_call_details.method == PREFIX + "Check":
            return grpc.unary_unary_rpc_method_handler(self._check)
        if handler_call_details.method == PREFIX + "Watch":
            return grpc.unary_stream_rpc_method_handler(self._watch)
        return None

    async def _check(self, request: bytes, context: Any) -> bytes:
        if request.startswith(SERVICE_FIELD) and len(request) > 2:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self._now()

    async def _watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        told = b""
        while True:
            if (now := self._now()) != told:
                yield now
                told = now
            await asyncio.sleep(LOOK_EVERY_S)

    def _now(self) -> bytes:
        return SERVING if self._is_serving() else NOT_SERVING
