"""The state actor and a real etcd in the same run: python -m tests.bench.bench_beside_etcd

Three members: puts by 32 clients that share nothing, and the leader killed with -9 until the next acknowledged write.
One member: a put alone, 100,000 keys, one watch among 10,000, and how long a restart takes after a kill. Values of
1 KB, everything synced to the disk of this directory, one after the other. The same Python code asks both, over what
each speaks. For etcd that client is what bounds the rate, so `etcdctl check perf` puts there too, and the members' CPU
time of a put stands beside each rate.

It takes about a minute and a half. The two run in processes of their own, for state actors are forked, which a process
with gRPC's threads must not do.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from actors.apiserver.storage.client import StateClient
from actors.state import messages as m
from bus import BusError
from tests.bench.generator import collect_as_actors_do
from tests.bench.state_systems import Etcd, StateActors, System

SYSTEMS: dict[str, Callable[[Path, int], System]] = {"kubus": StateActors, "etcd": Etcd}
VALUE = os.urandom(1024)
CLIENTS, WORKERS = 32, 256
LOAD_S = 4.0
KILLS = 5
KEYS, KEYS_A_TXN = 100_000, 100
WATCHES, WATCHED_PUTS = 10_000, 2_000
ALONE = 1_000
Rows = dict[str, str]


async def put(client: StateClient, key: bytes) -> None:
    await client.txn(m.Txn([], [m.Put(key, VALUE)]))


def milliseconds(times: list[float]) -> str:
    times.sort()
    return f"p50 {times[len(times) // 2] * 1000:.2f} ms, p99 {times[len(times) * 99 // 100] * 1000:.2f} ms"


async def load(system: System) -> Rows:
    """Puts of new keys by many clients, as an API server writes: only if the key is not there."""
    clients = [await system.client(number) for number in range(CLIENTS)]
    processes = system.processes()
    times: list[float] = []
    end = time.perf_counter() + LOAD_S

    async def work(number: int) -> None:
        client, count = clients[number % CLIENTS], 0
        while (begin := time.perf_counter()) < end:
            count += 1
            key = b"/load/%d/%d" % (number, count)
            await client.txn(m.Txn([m.Compare(key, "mod", "=", 0)], [m.Put(key, VALUE)], [m.Range(key)]))
            times.append(time.perf_counter() - begin)

    before_s, own_s = _cpu_s(processes), time.process_time()
    await asyncio.gather(*(work(number) for number in range(WORKERS)))
    spent_us = (_cpu_s(processes) - before_s) / len(times) * 1e6
    own_us = (time.process_time() - own_s) / len(times) * 1e6
    for client in clients:
        await system.close(client)
    return {
        f"three members, puts by {CLIENTS} clients, {WORKERS} at once": f"{len(times) / LOAD_S:,.0f}/s",
        "    latency": milliseconds(times),
        "    CPU of all members a put, of the clients": f"{spent_us:.0f}, {own_us:.0f} µs",
    }


async def kills(system: System) -> Rows:
    client = await system.client(0)
    gaps, count = [], 0

    async def write() -> None:
        nonlocal count
        while True:
            count += 1
            try:
                async with asyncio.timeout(1.0):
                    return await put(client, b"/kill/%d" % count)
            except (BusError, TimeoutError):
                await asyncio.sleep(0.005)

    for _ in range(KILLS):
        for _ in range(20):
            await write()
        revive = await asyncio.to_thread(system.kill_leader)
        begin = time.perf_counter()
        await write()
        gaps.append(time.perf_counter() - begin)
        await asyncio.to_thread(revive)
        await asyncio.sleep(0.5)
    await system.close(client)
    median, worst = statistics.median(gaps) * 1000, max(gaps) * 1000
    return {f"leader killed to the next acknowledged write, of {KILLS}": f"median {median:.0f}, worst {worst:.0f} ms"}


async def alone(system: System) -> Rows:
    client = await system.client(0)
    times = []
    for number in range(ALONE):
        begin = time.perf_counter()
        await put(client, b"/alone/%d" % number)
        times.append(time.perf_counter() - begin)
    await system.close(client)
    return {"one member, a put alone": milliseconds(times)}


async def fill(system: System) -> Rows:
    client = await system.client(0)
    numbers = iter(range(0, KEYS, KEYS_A_TXN))

    async def work() -> None:
        for first in numbers:
            puts: list[Any] = [m.Put(b"/keys/%07d" % number, VALUE) for number in range(first, first + KEYS_A_TXN)]
            await client.txn(m.Txn([], puts))

    await asyncio.gather(*(work() for _ in range(8)))
    await system.close(client)
    return {f"memory with {KEYS:,} keys": _memory(system)}


async def watch(system: System) -> Rows:
    client = await system.client(0)
    seen: asyncio.Queue[float] = asyncio.Queue()
    keys = [b"/watch/%d" % number for number in range(WATCHES)]
    times = []
    async with system.watches(keys, lambda: seen.put_nowait(time.perf_counter())):
        collect_as_actors_do()
        for number in range(WATCHED_PUTS):
            begin = time.perf_counter()
            await put(client, keys[number * 17 % WATCHES])
            times.append(await seen.get() - begin)
    await system.close(client)
    return {f"one watch among {WATCHES:,}, put to event": milliseconds(times)}


async def restart(system: System) -> Rows:
    begin = time.perf_counter()
    await asyncio.to_thread(system.restart)
    client = await system.client(0)
    await client.range(m.Range(b"/keys/0000000"))
    took_s = time.perf_counter() - begin
    await system.close(client)
    return {
        f"kill -9 to a read, with {KEYS:,} keys": f"{took_s:.2f} s",
        "    memory then": _memory(system),
    }


def measure(make: Callable[[Path, int], System]) -> Rows:
    rows: Rows = {}
    for size, measures in ((3, (load, kills)), (1, (alone, fill, watch, restart))):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            system = make(Path(folder), size)
            try:
                system.start()
                rows["what"] = system.name
                collect_as_actors_do()
                for each in measures:
                    rows |= uvloop.run(each(system))
                if size == 3 and isinstance(system, Etcd):
                    rate, cpu_s = system.by_its_own_tool(LOAD_S)
                    rows["    by its own tool, CPU of all members"] = f"{rate:,.0f}/s, {cpu_s * 1e6:.0f} µs"
            finally:
                system.stop()
    return rows


def _cpu_s(processes: list[Any]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


def _memory(system: System) -> str:
    (process,) = system.processes()
    return f"{process.memory_info().rss >> 20} MB resident"


def main() -> None:
    if sys.argv[1:]:
        print(json.dumps(measure(SYSTEMS[sys.argv[1]])))
        return
    command = [sys.executable, "-m", "tests.bench.bench_beside_etcd"]
    columns = []
    for name in SYSTEMS:
        done = subprocess.run([*command, name], stdout=subprocess.PIPE, text=True, check=True)
        columns.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    ours, theirs = columns
    for what in ours | theirs:
        print(f"{what:62} {ours.get(what, ''):34} {theirs.get(what, '')}")


if __name__ == "__main__":
    main()
