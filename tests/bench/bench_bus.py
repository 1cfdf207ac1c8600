"""What a bus request costs over ipc: python tests/bench/bench_bus.py

A server in a process of its own echoes 100 bytes. Prints the latency of one request at a time and the throughput of 64
at once, and a stream's records a second.
"""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import uvloop

from bus import ANYONE, Client, Record, Request, Server, ipc_endpoint


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


def serve(endpoint: str) -> None:
    async def many(request, context):
        item = Text("x" * 500)
        for _ in range(request.count):
            yield item

    async def main() -> None:
        server = Server("bench@a", endpoint)
        server.register(Echo, lambda request, context: Text(request.text))
        server.register(Many, many)
        server.start()
        await asyncio.Event().wait()

    uvloop.run(main())


async def measure(endpoint: str) -> None:
    client = Client("bench@b")
    request = Echo("x" * 100)
    await client.request(endpoint, request)
    times = []
    for _ in range(5000):
        begin = time.perf_counter()
        await client.request(endpoint, request)
        times.append(time.perf_counter() - begin)
    times.sort()
    print(f"one at a time: p50 {times[2500] * 1e6:.0f} µs  p99 {times[4950] * 1e6:.0f} µs")

    async def worker() -> None:
        for _ in range(500):
            await client.request(endpoint, request)

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(64)))
    print(f"64 at once: {64 * 500 / (time.perf_counter() - begin):.0f} requests/s")
    begin = time.perf_counter()
    async with client.stream(endpoint, Many(100_000)) as items:
        count = sum([1 async for _ in items])
    print(f"stream: {count / (time.perf_counter() - begin):.0f} records/s of 500 bytes")
    client.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        endpoint = ipc_endpoint(Path(folder), "bench@a", "work")
        child = os.fork()
        if child == 0:
            serve(endpoint)
        try:
            uvloop.run(measure(endpoint))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
