"""TLS on real sockets of this machine: both ways and large, peers that stall, break off, or are no TLS clients."""

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest

from actors.api.config import ClusterConfig
from actors.apiserver import tls_transport
from actors.apiserver.https_server import listen, tls_context
from actors.apiserver.tls_transport import TlsTransport
from actors.cluster.pki import prepare

LARGE = 3_000_000


class Protocol(asyncio.Protocol):
    """Keeps what comes, and answers each whole line with what the test says."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.received = b""
        self.lost: asyncio.Future = asyncio.get_running_loop().create_future()
        self.told: list[str] = []

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.peer = transport.get_extra_info("peername")
        self.certificate = transport.get_extra_info("ssl_object").getpeercert()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.answer and self.received.endswith(b"\n"):
            self.transport.write(self.answer)

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error) -> None:
        self.lost.set_result(error)


class Door:
    """A listening socket whose connections are transports; `made` are their protocols."""

    def __init__(self, pki: Path, answer: bytes = b"") -> None:
        self.made: list[Protocol] = []
        self.transports: list[TlsTransport] = []
        self._answer = answer
        self._context = tls_context(pki / "apiserver.crt", pki / "apiserver.key", pki / "ca.crt")
        self._pki = pki
        self._listener = listen("127.0.0.1", 0)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)
        self.address = self._listener.getsockname()

    def _accept(self) -> None:
        self.transports.append(TlsTransport(self._listener.accept()[0], self._context, self._protocol))

    def _protocol(self) -> Protocol:
        self.made.append(Protocol(self._answer))
        return self.made[-1]

    def client(self) -> ssl.SSLSocket:
        """A client's connection; it blocks, so tests use it in a thread."""
        context = ssl.create_default_context(cafile=self._pki / "ca.crt")
        context.check_hostname = False
        context.load_cert_chain(self._pki / "admin.crt", self._pki / "admin.key")
        return context.wrap_socket(socket.create_connection(self.address, timeout=10))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        for transport in self.transports:
            transport.abort()


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    return prepare(tmp_path_factory.mktemp("tls"), ClusterConfig(nodes={})).directory


@contextlib.contextmanager
def door(pki: Path, answer: bytes = b""):
    opened = Door(pki, answer)
    try:
        yield opened
    finally:
        opened.close()


def run(test):
    async def main():
        async with asyncio.timeout(20):
            await test

    asyncio.run(main())


async def eventually(condition) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def read_all(connection: ssl.SSLSocket) -> bytes:
    data = b""
    while more := connection.recv(1 << 18):
        data += more
    return data


def test_bytes_go_both_ways_and_the_client_certificate_is_known(pki):
    async def test():
        with door(pki, b"pong\n") as opened:

            def ask() -> bytes:
                with opened.client() as connection:
                    connection.sendall(b"ping\n")
                    return connection.recv(100)

            assert await asyncio.to_thread(ask) == b"pong\n"
            (protocol,) = opened.made
            assert protocol.received == b"ping\n"
            assert (("organizationName", "system:masters"),) in protocol.certificate["subject"]
            assert protocol.peer[0] == "127.0.0.1"
            assert await protocol.lost is None
            assert protocol.transport.get_extra_info("socket") is None

    run(test())


def test_what_is_large_arrives_whole_both_ways(pki):
    async def test():
        answer = b"".join(b"%07d," % number for number in range(LARGE // 8))
        with door(pki, answer) as opened:

            def ask() -> bytes:
                with opened.client() as connection:
                    connection.sendall(b"q" * LARGE + b"\n")
                    data = b""
                    while len(data) < len(answer):
                        data += connection.recv(1 << 18)
                    return data

            assert await asyncio.to_thread(ask) == answer
            assert opened.made[0].received == b"q" * LARGE + b"\n"

    run(test())


def test_several_records_reach_the_kernel_as_one_and_are_not_kept_there(pki):
    """A write of several records wakes the peer once, and its last bytes don't wait for a full segment."""

    async def test():
        with door(pki) as opened:
            with await asyncio.to_thread(opened.client) as connection:
                await eventually(lambda: opened.made)
                transport = opened.made[0].transport
                began = asyncio.get_running_loop().time()
                for _ in range(20):
                    transport.write(b"r" * 40_001)
                    received = 0
                    while received < 40_001:
                        received += len(await asyncio.to_thread(connection.recv, 1 << 18))
                took_s = asyncio.get_running_loop().time() - began
                is_corked = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK)
            assert not is_corked
            assert took_s < 20 * 0.2  # what the kernel keeps back it keeps for 0.2 s

    run(test())


def test_connections_share_a_buffer_and_not_what_is_in_it(pki):
    async def test():
        with door(pki) as opened:
            one, other = await asyncio.gather(asyncio.to_thread(opened.client), asyncio.to_thread(opened.client))
            await eventually(lambda: len(opened.made) == 2)
            with one, other:
                for _ in range(20):
                    await asyncio.to_thread(one.sendall, b"1" * 10_000)
                    await asyncio.to_thread(other.sendall, b"2" * 10_000)
                await eventually(lambda: sum(len(made.received) for made in opened.made) == 400_000)
            assert {bytes(set(made.received)) for made in opened.made} == {b"1", b"2"}

    run(test())


def test_a_protocol_is_told_while_its_peer_takes_too_little(pki):
    async def test():
        with door(pki) as opened:
            with await asyncio.to_thread(opened.client) as connection:
                await eventually(lambda: opened.made)
                (protocol,) = opened.made
                sent = 0
                while not protocol.told:
                    protocol.transport.write(b"w" * 100_000)
                    sent += 100_000
                protocol.transport.write(b"end\n")
                protocol.transport.close()
                data = await asyncio.to_thread(read_all, connection)
            assert data == b"w" * sent + b"end\n"  # all that was written before the close
            assert protocol.told == ["pause", "resume"]
            await protocol.lost

    run(test())


def test_an_answer_is_read_to_its_end_though_the_client_still_sends(pki):
    """A socket that is closed with unread bytes is reset, and then the peer may not see what was written to it."""

    async def test():
        with door(pki) as opened:
            with await asyncio.to_thread(opened.client) as connection:
                await eventually(lambda: opened.made)
                transport = opened.made[0].transport
                transport.pause_reading()
                await asyncio.to_thread(connection.sendall, b"s" * 50_000)
                transport.write(b"too much\n")
                transport.close()
                assert transport.is_closing()
                assert await asyncio.to_thread(read_all, connection) == b"too much\n"
            assert await opened.made[0].lost is None
            assert opened.made[0].received == b""

    run(test())


def test_reading_pauses_and_goes_on(pki):
    async def test():
        with door(pki) as opened:
            with await asyncio.to_thread(opened.client) as connection:
                await eventually(lambda: opened.made)
                (protocol,) = opened.made
                protocol.transport.pause_reading()
                await asyncio.to_thread(connection.sendall, b"r" * 40_000)
                await asyncio.sleep(0.02)
                assert protocol.received == b""
                protocol.transport.resume_reading()
                await eventually(lambda: len(protocol.received) == 40_000)

    run(test())


def test_a_peer_that_breaks_off_is_lost(pki):
    async def test():
        with door(pki) as opened:
            connection = await asyncio.to_thread(opened.client)
            await eventually(lambda: opened.made)
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for no time: closing resets
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
            assert isinstance(await opened.made[0].lost, ConnectionError)
            opened.made[0].transport.write(b"to nobody")
            opened.made[0].transport.close()

    run(test())


def test_bytes_that_fail_tls_end_a_connection(pki):
    async def test():
        with door(pki) as opened:
            connection = await asyncio.to_thread(opened.client)
            await eventually(lambda: opened.made)
            with socket.socket(fileno=connection.detach()) as raw:
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
                assert isinstance(await opened.made[0].lost, ssl.SSLError)

    run(test())


def test_who_speaks_no_tls_or_not_at_all_gets_no_protocol(pki, monkeypatch):
    monkeypatch.setattr(tls_transport, "HANDSHAKE_S", 0.2)

    async def test():
        with door(pki) as opened:
            reader, writer = await asyncio.open_connection(*opened.address)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            silent, its_writer = await asyncio.open_connection(*opened.address)
            assert await silent.read() == b""  # after the time for a handshake
            its_writer.close()
            assert not opened.made

    run(test())


def test_a_peer_that_does_not_close_its_side_is_cut_off(pki, monkeypatch):
    monkeypatch.setattr(tls_transport, "CLOSE_S", 0.1)

    async def test():
        with door(pki) as opened:
            with await asyncio.to_thread(opened.client) as connection:
                await eventually(lambda: opened.made)
                opened.made[0].transport.close()
                assert await opened.made[0].lost is None
                assert threading.active_count() and connection.fileno() > 0

    run(test())
