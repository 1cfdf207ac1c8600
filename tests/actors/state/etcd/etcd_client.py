"""A bare client of etcd's API: one method for each of its calls, messages in and out."""

from types import SimpleNamespace

from grpc import StatusCode, aio

from actors.api.etcd.rpc import SERVICES, methods_of


def connect(address: str) -> tuple[aio.Channel, SimpleNamespace]:
    """Return a channel to an address, and the calls by their names."""
    channel = aio.insecure_channel(address.removeprefix("http://"), options=[("grpc.enable_http_proxy", 0)])
    calls = {}
    for service in SERVICES:
        for method in methods_of(service):
            shape = ("stream" if method.takes_stream else "unary", "stream" if method.gives_stream else "unary")
            calls[method.name] = getattr(channel, "_".join(shape))(
                method.path, request_serializer=method.encode_request, response_deserializer=method.decode_response
            )
    return channel, SimpleNamespace(**calls)


async def refusal(call) -> tuple[StatusCode, str]:
    """Return how a call is refused."""
    try:
        answer = await call
    except aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"it was not refused: {answer}")
