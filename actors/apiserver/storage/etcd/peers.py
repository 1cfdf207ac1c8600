"""Connections to the members of an etcd cluster.

A request is sent over a connection that is known to stand, so that one which could not be sent is told from one whose
answer was lost: only the former may be sent again whatever it was. The member that answered last is asked next; one
that fails is left for the next in the list.

gRPC has threads, so nothing here is imported before the API server's process has been forked.

Neighbours: `client` and `watching` ask through it.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from grpc import ChannelConnectivity, aio

from actors.api.config import EtcdTlsConfig
from actors.api.etcd.rpc import SERVICES, methods_of
from bus import Unavailable

CONNECT_S = 1.0  # for one member, then the next one is tried
KEEPALIVE_MS = 10_000  # a connection over which nothing comes is asked this often whether it still stands
KEEPALIVE_TIMEOUT_MS = 5_000  # and is given up when this passes without an answer

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # what may be sent again is decided in `client`
]


class BadEndpoint(Exception):
    """An endpoint, or a file of keys, that cannot be used; the message says why."""


class Peer:
    """One member."""

    def __init__(self, endpoint: str, credentials: grpc.ChannelCredentials | None):
        self.endpoint = endpoint
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname or not address.port:
            raise BadEndpoint(f"{endpoint}: an endpoint is http://HOST:PORT or https://HOST:PORT")
        if address.scheme == "https":
            secure = credentials or grpc.ssl_channel_credentials()
            self._channel = aio.secure_channel(address.netloc, secure, options=_OPTIONS)
        else:
            self._channel = aio.insecure_channel(address.netloc, options=_OPTIONS)
        self._calls: dict[str, Callable[..., Any]] = {}
        for service in SERVICES:
            for method in methods_of(service):
                shape = ("stream" if method.takes_stream else "unary", "stream" if method.gives_stream else "unary")
                kind = getattr(self._channel, "_".join(shape))
                self._calls[method.name] = kind(
                    method.path,
                    request_serializer=method.encode_request,
                    response_deserializer=method.decode_response,
                )

    def call(self, method: str) -> Callable[..., Any]:
        return self._calls[method]

    async def is_ready(self, limit_s: float) -> bool:
        """Tell whether there is a connection, or one comes about in time."""
        state = self._channel.get_state(try_to_connect=True)
        if state is ChannelConnectivity.READY:
            return True
        try:
            async with asyncio.timeout(limit_s):
                while state is not ChannelConnectivity.READY:
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
                    if state is ChannelConnectivity.TRANSIENT_FAILURE:
                        return False
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        await self._channel.close()


class Peers:
    """All members that the config names."""

    def __init__(self, endpoints: Sequence[str], tls: EtcdTlsConfig | None, directory: Path):
        """`directory` is where relative paths of keys are looked for. Raises BadEndpoint."""
        credentials = _credentials(tls, directory) if tls is not None else None
        self._peers = [Peer(endpoint, credentials) for endpoint in endpoints]
        self._preferred = 0

    async def ready(self) -> Peer:
        """Return a member to ask. Unavailable when none can be reached."""
        first = self._preferred
        for step in range(len(self._peers)):
            place = (first + step) % len(self._peers)
            if await self._peers[place].is_ready(CONNECT_S):
                self._preferred = place
                return self._peers[place]
        raise Unavailable(f"no member of etcd can be reached: {', '.join(peer.endpoint for peer in self._peers)}")

    def failed(self, peer: Peer) -> None:
        """Ask another one next, unless that has been decided already."""
        if self._peers[self._preferred] is peer:
            self._preferred = (self._preferred + 1) % len(self._peers)

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()


def _credentials(tls: EtcdTlsConfig, directory: Path) -> grpc.ChannelCredentials:
    try:
        authority = (directory / tls.ca).read_bytes() if tls.ca else None
        pair = [(directory / name).read_bytes() if name else None for name in (tls.key, tls.cert)]
    except OSError as error:
        raise BadEndpoint(f"state.tls: {error}") from error
    return grpc.ssl_channel_credentials(authority, *pair)
