"""What a bus request costs: python -m tests.bench.bench_bus

A server in a process of its own echoes 100 bytes: over ipc, over tcp in the clear, and over tcp with CURVE. Prints the
latency of one request at a time, the throughput of 64 at once, and a stream's records a second; beside the latter two
the CPU time of both processes together, which other work on the machine changes less than it changes the rates.
"""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import psutil
import uvloop

from bus import ANYONE, Client, Keyring, Record, Request, Server, ZmqTransport, ipc_endpoint, keys

SERVER, CLIENT = "bench@a", "bench@b"
PORT = 47_211


class Text(Record, frozen=True, array_like=True, gc=False):
    text: str


class Echo(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "bench.echo"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Text
    text: str


class Many(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "bench.many"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Text
    stream: ClassVar[bool] = True
    count: int


def serve(endpoint: str, keyring: Keyring | None) -> None:
    async def many(request, context):
        item = Text("x" * 500)
        for _ in range(request.count):
            yield item

    async def main() -> None:
        server = Server(SERVER, endpoint, transport=ZmqTransport(keyring))
        server.register(Echo, lambda request, context: Text(request.text))
        server.register(Many, many)
        server.start()
        await asyncio.Event().wait()

    uvloop.run(main())


class Stopwatch:
    """Wall and CPU time since it was made, of this process and its child."""

    def __init__(self, child: int):
        self._processes = [psutil.Process(child), psutil.Process()]
        self._begin, self._cpu = time.perf_counter(), self._cpu_s()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._begin

    def cpu_us(self, count: int) -> float:
        return (self._cpu_s() - self._cpu) / count * 1e6

    def _cpu_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)


async def measure(what: str, endpoint: str, keyring: Keyring | None, child: int) -> None:
    client = Client(CLIENT, ZmqTransport(keyring))
    request = Echo("x" * 100)
    await client.request(endpoint, request)
    times = []
    for _ in range(5000):
        begin = time.perf_counter()
        await client.request(endpoint, request)
        times.append(time.perf_counter() - begin)
    times.sort()
    print(f"{what}: one at a time: p50 {times[2500] * 1e6:.0f} µs  p99 {times[4950] * 1e6:.0f} µs")

    async def worker() -> None:
        for _ in range(500):
            await client.request(endpoint, request)

    watch = Stopwatch(child)
    await asyncio.gather(*(worker() for _ in range(64)))
    print(f"{what}: 64 at once: {32_000 / watch.wall_s:.0f} requests/s, {watch.cpu_us(32_000):.1f} µs of CPU each")
    watch = Stopwatch(child)
    async with client.stream(endpoint, Many(100_000)) as items:
        count = sum([1 async for _ in items])
    print(
        f"{what}: stream: {count / watch.wall_s:.0f} records/s of 500 bytes, {watch.cpu_us(count):.1f} µs of CPU each"
    )
    client.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for name in (SERVER, CLIENT):
            keys.make(directory, name)
        address = f"tcp://127.0.0.1:{PORT}"
        for what, endpoint, has_keys in (
            ("ipc", ipc_endpoint(directory, SERVER, "work"), False),
            ("tcp", address, False),
            ("tcp with CURVE", f"{address}/{SERVER}", True),
        ):
            child = os.fork()
            if child == 0:
                serve(endpoint, Keyring(directory, SERVER) if has_keys else None)
            try:
                uvloop.run(measure(what, endpoint, Keyring(directory, CLIENT) if has_keys else None, child))
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


if __name__ == "__main__":
    main()
