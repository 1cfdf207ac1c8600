"""etcd's service Auth, which is not here: who may come in is decided by client certificates, not by users and roles.

Each of its methods is refused in words; a client that asks whether authentication is on hears that it is not. The
messages are not read, so there are none in the `.proto` file.

Neighbours: `front` serves it.
"""

from typing import Any

import grpc

from actors.api.etcd import faults
from actors.api.etcd.rpc import PACKAGE

PREFIX = f"/{PACKAGE}.Auth/"
REFUSAL = "etcdserver: users and roles are not supported: clients are told apart by their certificates"


class AuthHandler(grpc.GenericRpcHandler):
    """Answers every method of the service."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = handler_call_details.method
        if not method.startswith(PREFIX):
            return None
        answers = {"AuthStatus": _status, "Authenticate": _authenticate, "AuthDisable": _authenticate}
        return grpc.unary_unary_rpc_method_handler(answers.get(method.removeprefix(PREFIX), _refuse))


async def _status(request: bytes, context: Any) -> bytes:
    return b""  # all fields at their defaults: it is off


async def _authenticate(request: bytes, context: Any) -> None:
    await context.abort(*faults.AUTH_NOT_ENABLED)


async def _refuse(request: bytes, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, REFUSAL)
