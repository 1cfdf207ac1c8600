"""What three state actors can bear: python -m tests.bench.bench_state_group [KILLS]

Three members as processes on a real directory, asked over ipc by the API server's client. Prints puts of 1 KB alone and
with many clients at once, then kills the leader with -9 again and again (default 20) under a light load and prints how
long it took until the next write was acknowledged; last, how often a leader changed without a kill while all of them
were busy.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from actors.apiserver.storage.client import BusStateClient
from actors.state import messages as m
from bus import BusError, Client
from tests.actors.state.state_group import StateGroup
from tests.bench.bench_state import show

VALUE = os.urandom(1024)
WRITERS = 4  # while leaders are killed
REST_S = 0.002


def put(key: bytes) -> m.Txn:
    return m.Txn([m.Compare(key, "mod", "=", 0)], [m.Put(key, VALUE)], [m.Range(key)])


async def load(endpoints: dict[str, str]) -> None:
    client = BusStateClient(Client("apiserver@bench"), endpoints)
    times = []
    for number in range(1000):
        begin = time.perf_counter()
        await client.txn(put(b"/alone/%d" % number))
        times.append(time.perf_counter() - begin)
    show("put of 1 KB alone", times)
    for workers, count in ((64, 10_000), (128, 20_000), (256, 20_000)):
        await at_once(client, workers, count)
    times = []
    for number in range(500):
        begin = time.perf_counter()
        await client.range(m.Range(b"/alone/%d" % number))
        times.append(time.perf_counter() - begin)
    show("linearizable read alone", times)


async def at_once(client: BusStateClient, workers: int, count: int) -> None:
    numbers = iter(range(count))
    times = []

    async def work() -> None:
        for number in numbers:
            begin = time.perf_counter()
            await client.txn(put(b"/w%d/%07d" % (workers, number)))
            times.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    print(f"put of 1 KB: {count / (time.perf_counter() - begin):.0f} puts/s with {workers} at once")
    show("    latency", times)


async def kill_leaders(group: StateGroup, kills: int) -> None:
    acknowledged = [time.perf_counter()]
    over = asyncio.Event()

    async def write(number: int) -> None:
        client = BusStateClient(Client(f"apiserver@w{number}"), group.endpoints)
        count = 0
        while not over.is_set():
            count += 1
            with contextlib.suppress(BusError):
                await client.txn(put(b"/kill%d/%d" % (number, count)))
                acknowledged.append(time.perf_counter())
            await asyncio.sleep(REST_S)

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    times = []
    for _ in range(kills):
        await asyncio.sleep(1.0)
        leader = await asyncio.to_thread(group.wait_for_leader)
        begin = time.perf_counter()
        leader.kill()
        while acknowledged[-1] < begin:
            await asyncio.sleep(0.002)
        times.append(acknowledged[-1] - begin)
        await asyncio.to_thread(leader.start)
    over.set()
    await asyncio.gather(*writers)
    times.sort()
    median, worst = times[len(times) // 2] * 1000, times[-1] * 1000
    print(f"leader killed to the next acknowledged write, of {kills}: median {median:.0f} ms, worst {worst:.0f} ms")


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        group = StateGroup(Path(folder)).start()
        try:
            before = group.status(group.names[0]).term
            uvloop.run(load(group.endpoints))
            print(f"elections under load: {group.status(group.names[0]).term - before}")
            uvloop.run(kill_leaders(group, kills))
        finally:
            group.stop()


if __name__ == "__main__":
    main()
