"""One TLS connection of a server inside the loop: OpenSSL reads and writes the socket itself.

uvloop's TLS copies every byte through buffers in memory and a transport beneath: a request and its answer cost 33 us of
CPU there, and cost 18 so. A write goes out at once; what the kernel does not take waits here, and the protocol is told
to pause beyond a bound. To the protocol this is a transport like asyncio's.

What can go wrong: a peer that is no TLS client, has a certificate that is not good, or takes too long over the
handshake, is dropped before there is a protocol. One that breaks off, or whose bytes fail TLS, is lost to the protocol
like any that goes away. A connection is closed by saying so and then reading on for a moment, for a socket with unread
bytes would be reset under a peer that still reads the last answer.

Neighbours: `https_server` accepts and makes these; `http_connection` is the protocol.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

RECEIVE_BYTES = 64 << 10  # taken from a connection in one turn of the loop
RECORD_BYTES = 16 << 10  # the most that TLS gives at once; only after a full record is there likely to be more
HANDSHAKE_S = 10.0
CLOSE_S = 30.0  # for a peer to take what is unsent, and to close its side after we have closed ours
HIGH_BYTES = 64 << 10  # unsent: the protocol shall write no more
LOW_BYTES = 16 << 10  # unsent: it may again

# For all connections: what comes is dealt with, or copied, at once. It has room for a whole record, so TLS never keeps
# back what no wake of the loop would tell of.
_RECEIVED = memoryview(bytearray(RECEIVE_BYTES))

NotYet = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsTransport(asyncio.Transport):
    """Begins with the handshake; `make_protocol` is called when that is done."""

    __slots__ = (
        "_descriptor", "_is_closed", "_is_closing", "_is_paused", "_is_told", "_is_waiting", "_loop",
        "_make_protocol", "_peer", "_protocol", "_socket", "_timer", "_unsent", "_unsent_bytes",
    )  # fmt: skip

    def __init__(
        self, accepted: socket.socket, context: ssl.SSLContext, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        """Take over a connection that was accepted. Raises OSError when it is lost already."""
        self._loop = asyncio.get_running_loop()
        self._make_protocol = make_protocol
        self._protocol: asyncio.Protocol | None = None  # once there is TLS
        self._peer = accepted.getpeername()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._descriptor = self._socket.fileno()
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._is_waiting = False  # for the kernel to take more
        self._is_told = False  # the protocol, to write no more
        self._is_paused = False  # reading
        self._is_closing = False
        self._is_closed = False
        self._timer = self._loop.call_later(HANDSHAKE_S, self.abort)
        self._loop.add_reader(self._descriptor, self._shake_hands)

    # The transport, as the protocol sees it

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing or not data:
            return
        if self._unsent:
            self._keep(memoryview(data))
            return
        try:
            if len(data) > RECORD_BYTES:
                self._send_records(memoryview(data))
            elif (sent := self._socket.send(data)) < len(data):  # to a peer that takes smaller records only
                self._send_records(memoryview(data)[sent:])
        except NotYet:
            self._keep(memoryview(data))
        except OSError as error:
            self._end(error)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Close after what was written."""
        if not self._is_closing:
            self._is_closing = True
            self._timer = self._loop.call_later(CLOSE_S, self.abort)
            self._loop.remove_reader(self._descriptor)
            if not self._unsent:
                self._say_goodbye()

    def abort(self) -> None:
        self._end(None)

    def pause_reading(self) -> None:
        if not self._is_paused and not self._is_closing:
            self._is_paused = True
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        if self._is_paused and not self._is_closing:
            self._is_paused = False
            self._loop.add_reader(self._descriptor, self._readable)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return self._peer
        return self._socket if name in ("socket", "ssl_object") and not self._is_closed else default

    # Reading

    def _shake_hands(self) -> None:
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._stop_waiting()
            return
        except ssl.SSLWantWriteError:
            self._await_room(self._shake_hands)
            return
        except OSError:
            self.abort()
            return
        self._timer.cancel()
        self._stop_waiting()
        self._loop.add_reader(self._descriptor, self._readable)
        self._protocol = self._make_protocol()
        self._protocol.connection_made(self)

    def _readable(self) -> None:
        protocol, connection = self._protocol, self._socket
        assert protocol is not None, "the handshake is over"
        for _ in range(RECEIVE_BYTES // RECORD_BYTES):
            try:
                size = connection.recv_into(_RECEIVED, RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                return
            except OSError as error:  # also when TLS itself wants to write and cannot: that peer takes nothing
                self._end(error)
                return
            if not size:
                self._end_of_input()
                return
            protocol.data_received(bytes(_RECEIVED[:size]))
            if size < RECORD_BYTES or self._is_paused or self._is_closing:
                return

    def _end_of_input(self) -> None:
        assert self._protocol is not None, "the handshake is over"
        self._loop.remove_reader(self._descriptor)
        self._is_paused = True
        if not self._protocol.eof_received():
            self.close()

    # Writing

    def _keep(self, data: memoryview) -> None:
        """Have something wait for the kernel."""
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if not self._is_waiting:
            self._await_room(self._writable)
        if self._unsent_bytes > HIGH_BYTES and not self._is_told and self._protocol is not None:
            self._is_told = True
            self._protocol.pause_writing()

    def _send_records(self, rest: memoryview) -> None:
        """Write more than one record: as one to the kernel, so that the peer wakes once for all of them."""
        connection = self._socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        try:
            while rest:
                rest = rest[connection.send(rest) :]
        except NotYet:
            self._keep(rest)
        finally:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def _writable(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                sent = self._socket.send(unsent[0])
                self._unsent_bytes -= sent
                if sent == len(unsent[0]):
                    unsent.popleft()
                else:
                    unsent[0] = unsent[0][sent:]
        except NotYet:
            pass
        except OSError as error:
            self._end(error)
            return
        if not unsent:
            self._stop_waiting()
        if self._is_told and self._unsent_bytes <= LOW_BYTES and self._protocol is not None:
            self._is_told = False
            self._protocol.resume_writing()
        if self._is_closing and not unsent:
            self._say_goodbye()

    def _await_room(self, then: Callable[[], None]) -> None:
        self._is_waiting = True
        self._loop.add_writer(self._descriptor, then)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._loop.remove_writer(self._descriptor)

    # The end

    def _say_goodbye(self) -> None:
        """Close our side, and wait for the peer to close its own."""
        try:
            self._socket.unwrap()
        except ssl.SSLError:  # we have said it; the peer has not, or still sends
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort()
            else:
                self._loop.add_reader(self._descriptor, self._linger)
        except OSError as error:
            self._end(error)
        else:
            self.abort()

    def _linger(self) -> None:
        """Drop what still comes. It is not decrypted: TLS has ended with our goodbye."""
        try:
            if not self._socket.recv_into(_RECEIVED, RECEIVE_BYTES):
                self.abort()
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self._is_closed:
            return
        self._is_closing = self._is_closed = True
        self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._unsent.clear()
        self._socket.close()
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error)
