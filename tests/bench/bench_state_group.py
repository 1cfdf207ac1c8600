"""What three state actors can bear: python -m tests.bench.bench_state_group [KILLS]

Three members as processes on a real directory, asked over ipc by the API server's client. Prints puts of 1 KB alone and
with many at once, by one client and by several, with the CPU time of each put, which says more than its rate on a busy
machine. Then kills the leader with -9 again and again (default 20) under a light load and prints how long it took until
the next write was acknowledged; last, how often a leader changed without a kill while all of them were busy.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from actors.apiserver.storage.client import BusStateClient
from actors.state import messages as m
from bus import BusError, Client
from tests.actors.state.state_group import StateGroup
from tests.bench.bench_state import show
from tests.bench.generator import Lateness, collect_as_actors_do

VALUE = os.urandom(1024)
ROUNDS = 3  # one stall of 100 ms, whoever's it is, is the slowest percent of a round
SEVERAL = 32  # clients that know nothing of each other, so that few of their puts share a message
WRITERS = 4  # while leaders are killed
REST_S = 0.002


def put(key: bytes) -> m.Txn:
    return m.Txn([m.Compare(key, "mod", "=", 0)], [m.Put(key, VALUE)], [m.Range(key)])


class CpuTime:
    """CPU time since it was made: of the leader, of the others, of the clients."""

    def __init__(self, group: StateGroup):
        leader = group.wait_for_leader().name
        self._processes = {name: psutil.Process(member.process.pid) for name, member in group.members.items()}
        self._processes = {"leader" if name == leader else name: each for name, each in self._processes.items()}
        self._processes["clients"] = psutil.Process()
        self._begin = self._all()

    def show(self, count: int) -> str:
        used = {name: (now - self._begin[name]) / count * 1e6 for name, now in self._all().items()}
        leader, clients = used.pop("leader"), used.pop("clients")
        total = leader + clients + sum(used.values())
        others = " ".join(f"{each:.0f}" for each in used.values())
        return f"{total:.0f} µs of CPU each: leader {leader:.0f}, others {others}, clients {clients:.0f}"

    def _all(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}


async def load(group: StateGroup) -> None:
    client = BusStateClient(Client("apiserver@bench"), group.endpoints)
    times = []
    for number in range(1000):
        begin = time.perf_counter()
        await client.txn(put(b"/alone/%d" % number))
        times.append(time.perf_counter() - begin)
    show("put of 1 KB alone", times)
    for workers, count in ((64, 10_000), (128, 20_000), (256, 20_000)):
        await at_once(group, [client], workers, count)
    several = [BusStateClient(Client(f"apiserver@bench{number}"), group.endpoints) for number in range(SEVERAL)]
    for _ in range(ROUNDS):
        await at_once(group, several, 256, 20_000)
    times = []
    for number in range(500):
        begin = time.perf_counter()
        await client.range(m.Range(b"/alone/%d" % number))
        times.append(time.perf_counter() - begin)
    show("linearizable read alone", times)


async def at_once(group: StateGroup, clients: list[BusStateClient], workers: int, count: int) -> None:
    numbers = iter(range(count))
    times = []

    async def work(client: BusStateClient) -> None:
        for number in numbers:
            begin = time.perf_counter()
            await client.txn(put(b"/w%d-%d/%07d" % (workers, len(clients), number)))
            times.append(time.perf_counter() - begin)

    used = await asyncio.to_thread(CpuTime, group)
    async with Lateness() as late:
        begin = time.perf_counter()
        await asyncio.gather(*(work(clients[number % len(clients)]) for number in range(workers)))
        rate = count / (time.perf_counter() - begin)
    print(f"put of 1 KB: {rate:.0f} puts/s with {workers} at once by {len(clients)} clients; {used.show(count)}")
    show("    latency", times)
    print(f"    {late}")


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
            collect_as_actors_do()
            uvloop.run(load(group))
            print(f"elections under load: {group.status(group.names[0]).term - before}")
            uvloop.run(kill_leaders(group, kills))
        finally:
            group.stop()


if __name__ == "__main__":
    main()
