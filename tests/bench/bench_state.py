"""What the state actor can bear: python -m tests.bench.bench_state [KEYS]

One state actor as a process on a real directory, asked over ipc. Prints puts of 1 KB alone and with many clients at
once, what a put costs when there is much history, a change seen by one watch among 10,000, the time from start to
serving with KEYS keys (default 100,000), and memory.
"""

import asyncio
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from actors.state import messages as m
from actors.state.watch_index import prefix_end
from bus import Client
from tests.actors.state.state_process import StateProcess
from tests.bench.generator import Lateness, collect_as_actors_do

VALUE = os.urandom(1024)
WATCHES = 10_000
WATCHED_PUTS = 4_000  # some seconds: each stream says in that time that it lives, too
WATCHES_A_CLIENT = 2_500  # a server bounds the streams of one connection


def put(key: bytes) -> m.TxnRequest:
    return m.TxnRequest(m.Txn([m.Compare(key, "mod", "=", 0)], [m.Put(key, VALUE)], [m.Range(key)]))


def overwrite(key: bytes) -> m.TxnRequest:
    return m.TxnRequest(m.Txn([], [m.Put(key, VALUE)]))


def show(what: str, times: list[float]) -> None:
    times.sort()
    p50, p99 = (times[len(times) * share // 100] * 1000 for share in (50, 99))
    print(f"{what}: p50 {p50:.3f} ms  p99 {p99:.3f} ms")


async def one_at_a_time(client: Client, endpoint: str, requests: list[m.TxnRequest], what: str) -> None:
    times = []
    for request in requests:
        begin = time.perf_counter()
        await client.request(endpoint, request)
        times.append(time.perf_counter() - begin)
    show(what, times)


async def at_once(client: Client, endpoint: str, requests: list[m.TxnRequest], workers: int, what: str) -> None:
    rest = iter(requests)
    times = []

    async def work() -> None:
        for request in rest:
            begin = time.perf_counter()
            await client.request(endpoint, request, timeout_s=30)
            times.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    print(f"{what}: {len(requests) / (time.perf_counter() - begin):.0f} puts/s with {workers} at once")
    show("    latency", times)


async def write(endpoint: str, keys: int) -> None:
    client = Client("apiserver@bench")
    await one_at_a_time(client, endpoint, [put(b"/alone/%d" % n) for n in range(2000)], "put of 1 KB alone")
    for workers in (16, 64, 256):
        requests = [put(b"/w%d/%06d" % (workers, n)) for n in range(10_000)]
        await at_once(client, endpoint, requests, workers, "put of 1 KB")
    await at_once(client, endpoint, [overwrite(b"/hot") for _ in range(20_000)], 64, "put of one key, 20,000 versions")
    await one_at_a_time(client, endpoint, [overwrite(b"/hot") for _ in range(1000)], "put of that key alone")
    there = (await client.request(endpoint, m.StatusRequest())).keys
    await at_once(client, endpoint, [put(b"/rest/%07d" % n) for n in range(keys - there)], 256, "filling up")
    begin = time.perf_counter()
    page = await client.request(endpoint, m.RangeRequest(m.Range(b"/rest/", prefix_end(b"/rest/"), limit=20_000)))
    print(f"range of {len(page.result.kvs)} keys: {(time.perf_counter() - begin) * 1000:.0f} ms")
    client.close()


async def watch(endpoint: str) -> None:
    seen: asyncio.Queue[float] = asyncio.Queue()
    opened = asyncio.Semaphore(0)

    async def follow(client: Client, key: bytes) -> None:
        async with client.stream(endpoint, m.WatchRequest(key), timeout_s=60) as items:
            async for batch in items:
                if batch.events:
                    seen.put_nowait(time.perf_counter())
                else:
                    opened.release()

    clients = [Client(f"apiserver@bench{number}") for number in range(WATCHES // WATCHES_A_CLIENT)]
    tasks = [asyncio.create_task(follow(clients[n % len(clients)], b"/watch/%d" % n)) for n in range(WATCHES)]
    for _ in range(WATCHES):
        await opened.acquire()
    times = []
    gc.freeze()  # what 10,000 readers are made of, in this process, is not what is measured
    async with Lateness() as late:
        for number in range(WATCHED_PUTS):
            begin = time.perf_counter()
            await clients[0].request(endpoint, overwrite(b"/watch/%d" % (number * 17 % WATCHES)))
            times.append(await seen.get() - begin)
    show(f"put to event, one watch among {WATCHES}", times)
    print(f"    {late}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients:
        client.close()


def memory(process: StateProcess) -> str:
    full = psutil.Process(process.process.pid).memory_full_info()
    return f"{full.rss >> 20} MB resident, {full.pss >> 20} MB of its own share"


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        state = StateProcess(Path(folder)).start()
        try:
            print(f"empty: {memory(state)}")
            collect_as_actors_do()
            uvloop.run(write(state.endpoint, keys))
            print(f"with {state.inspect()['keys']} keys and all history: {memory(state)}")
            uvloop.run(watch(state.endpoint))
            state.ask(m.CompactRequest(state.inspect()["revision"]))
            for ending, end in (("kill -9", state.kill), ("orderly stop", state.stop)):
                end()
                begin = time.perf_counter()
                state.start()
                took_s = time.perf_counter() - begin
                print(f"start after {ending} to serving with {state.inspect()['keys']} keys: {took_s:.2f} s")
                print(f"    {memory(state)}")
        finally:
            state.stop()


if __name__ == "__main__":
    main()
