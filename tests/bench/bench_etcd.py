"""etcd's API of the state actor beside a real etcd: python -m tests.bench.bench_etcd

One member each, synced to the same disk, asked over gRPC without TLS by the API server's own driver, in turns. Prints
txns of 1 KB as the API server sends them, alone and many at once, and linearizable reads, with the CPU time of the
server for each, which says more than the rate on a busy machine.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import psutil

from actors.apiserver.storage.etcd.client import EtcdStateClient
from actors.apiserver.storage.etcd.peers import Peers
from actors.state import messages as m
from tests.actors.state.etcd.face_group import FaceGroup
from tests.bench.bench_state import show
from tests.real_etcd import RealEtcd

VALUE = os.urandom(1024)
ROUNDS = 3
ALONE, MANY, AT_ONCE = 300, 3_000, 64


async def measure(name: str, endpoint: str, process: psutil.Process, number: int) -> None:
    state = EtcdStateClient(Peers([endpoint], None, Path()))

    async def create(key: int) -> None:
        name = f"/bench/{number}/{key}".encode()
        await state.txn(m.Txn([m.Compare(name, "mod", "=", 0)], [m.Put(name, VALUE)], [m.Range(name)]))

    async def read(key: int) -> None:
        await state.range(m.Range(f"/bench/{number}/{key}".encode()))

    for key in range(50):
        await create(key)
    times = []
    for key in range(50, 50 + ALONE):
        begin = time.perf_counter()
        await create(key)
        times.append(time.perf_counter() - begin)
    show(f"{name}: txn alone", times)
    for what, operation, first in (("txns", create, 1_000), ("reads", read, 1_000)):
        await at_once(f"{name}: {what}", operation, first, process)
    await state.close()


async def at_once(name: str, operation, first: int, process: psutil.Process) -> None:
    keys = iter(range(first, first + MANY))

    async def work() -> None:
        for key in keys:
            await operation(key)

    cpu_s, begin = sum(process.cpu_times()[:2]), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    took_s = time.perf_counter() - begin
    cpu_us = (sum(process.cpu_times()[:2]) - cpu_s) / MANY * 1e6
    print(f"{name}, {AT_ONCE} at once: {MANY / took_s:,.0f}/s, {cpu_us:.0f} µs of the server's CPU each")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        path = Path(directory)
        (path / "etcd").mkdir()
        face, etcd = FaceGroup(path, tls=False), RealEtcd(path / "etcd", sync=True)
        try:
            face.start("state@m1")
            etcd.start()
            url = face.url("state@m1")
            for number in range(ROUNDS):
                for name, endpoint, process in (
                    ("state actor", url, face.processes["state@m1"]),
                    ("etcd", etcd.endpoints[0], etcd.processes["e0"]),
                ):
                    asyncio.run(measure(name, endpoint, psutil.Process(process.pid), number))
        finally:
            face.stop()
            etcd.stop()


if __name__ == "__main__":
    main()
