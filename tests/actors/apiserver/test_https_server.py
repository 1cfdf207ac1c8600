"""The door: without descriptors it waits and goes on, who is lost early costs nobody else, and it shuts."""

import asyncio
import errno
import socket
import ssl

import pytest
import structlog

from actors.api.config import ClusterConfig
from actors.apiserver import https_server
from actors.apiserver.http_front import HttpFront
from actors.apiserver.https_server import HttpsServer, PortTaken, listen, tls_context
from actors.cluster.pki import prepare
from tests.actors.apiserver.api_harness import serving


class Listener:
    """A listening socket that fails to accept as often as the test says."""

    def __init__(self) -> None:
        self._socket = listen("127.0.0.1", 0)
        self.failures: list[OSError] = []

    def __getattr__(self, name: str):
        return getattr(self._socket, name)

    def accept(self):
        if self.failures:
            raise self.failures.pop(0)
        return self._socket.accept()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("door"), ClusterConfig(nodes={})).directory


def over_https(pki, test) -> None:
    async def main():
        async with serving() as api, asyncio.timeout(20):
            front = HttpFront(api.handler, api.server.authorizer, api.server.bearer, structlog.get_logger())
            listener = Listener()
            context = tls_context(pki / "apiserver.crt", pki / "apiserver.key", pki / "ca.crt")
            server = HttpsServer(front, listener, context)  # type: ignore[arg-type]
            server.start()
            try:
                await test(server, listener)
            finally:
                await server.stop()

    asyncio.run(main())


async def connected(pki, server: HttpsServer):
    context = ssl.create_default_context(cafile=pki / "ca.crt")
    context.check_hostname = False
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return await asyncio.open_connection(*server.address, ssl=context)


async def healthy(pki, server: HttpsServer) -> bool:
    reader, writer = await connected(pki, server)
    writer.write(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 OK")


def test_without_descriptors_others_wait_to_be_accepted(pki, monkeypatch):
    monkeypatch.setattr(https_server, "FULL_PAUSE_S", 0.05)

    async def test(server, listener):
        listener.failures = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENFILE, "Too many open files")]
        assert await healthy(pki, server)
        assert not listener.failures

    over_https(pki, test)


def test_who_is_lost_before_it_is_accepted_costs_nobody_else(pki):
    async def test(server, listener):
        listener.failures = [ConnectionAbortedError(errno.ECONNABORTED, "gone")]
        assert await healthy(pki, server)
        with socket.create_connection(server.address):
            pass
        assert await healthy(pki, server)

    over_https(pki, test)


def test_a_door_that_shuts_hangs_up_on_who_is_idle(pki, monkeypatch):
    monkeypatch.setattr(https_server, "FULL_PAUSE_S", 0.01)

    async def test(server, listener):
        reader, writer = await connected(pki, server)
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert server.connections == 1
        server._pause()
        await server.stop()
        assert (await reader.read()).startswith(b"ok")  # the rest of the answer, and then the end
        await asyncio.sleep(0.02)
        assert server.connections == 0
        writer.close()
        with pytest.raises(OSError):
            await connected(pki, server)

    over_https(pki, test)


def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as first, pytest.raises(PortTaken, match=str(first.getsockname()[1])):
        listen("127.0.0.1", first.getsockname()[1])
