"""A load of HTTPS requests on keep-alive connections, and what it measured.

Raw asyncio protocols with requests encoded beforehand, so that on two cores the generator leaves most of the time to
the server. A request is a function of its number that returns bytes.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Make = Callable[[int], bytes]

END_OF_HEADERS = b"\r\n\r\n"


@dataclass(slots=True)
class Result:
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    def __str__(self) -> str:
        p50, p99 = self.percentile_ms(0.5), self.percentile_ms(0.99)
        return f"{self.per_second:.0f}/s  p50 {p50:.1f} ms  p99 {p99:.1f} ms  statuses {self.statuses}"


_RECEIVED = memoryview(bytearray(1 << 18))  # for all connections


class _Caller(asyncio.BufferedProtocol):
    """One connection: the next request goes out when the answer to the last is in."""

    def __init__(self, make: Make, take: Callable[[], int | None], result: Result):
        self._make = make
        self._take = take
        self._result = result
        self._buffer = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        self._buffer += _RECEIVED[:nbytes]
        end = self._buffer.find(END_OF_HEADERS)
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._result.latencies_s.append(time.perf_counter() - self._sent_at)
        status = int(self._buffer[9:12])
        self._result.statuses[status] = self._result.statuses.get(status, 0) + 1
        self._buffer = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        number = self._take()
        if number is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._make(number))


async def run(host: str, port: int, tls: ssl.SSLContext, make: Make, *, connections: int, limit_s: float) -> Result:
    """Send requests over so many connections for so long."""
    result = Result()
    deadline = time.perf_counter() + limit_s
    numbers = iter(range(10**9))

    def take() -> int | None:
        return next(numbers) if time.perf_counter() < deadline else None

    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    made = await asyncio.gather(
        *(
            loop.create_connection(lambda: _Caller(make, take, result), host, port, ssl=tls, server_hostname=host)
            for _ in range(connections)
        )
    )
    await asyncio.gather(*(caller.done for _, caller in made))
    result.seconds = time.perf_counter() - begin
    return result
