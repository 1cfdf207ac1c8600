"""What it costs to hold many objects and watches: python -m tests.bench.bench_held [--objects 100000] [--watches 1000]

Memory of the control plane when it is empty, with the objects, with the watches, and after each of some rounds of
changes that every watch is told of: what is held may cost, and what has passed may not.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator

import psutil
import uvloop

from tests.bench.bench_api import Target, config_map
from tests.bench.bench_cluster import CONTROL_PLANE, config_of
from tests.cluster import Cluster

CREATORS = 64
OPENERS = 16  # watches opened at a time: each is a TLS handshake
ROUNDS, CHANGES = 5, 100
SPACE, WATCHED = "held", "watched"
PAYLOAD = "v" * 500
PATIENCE_S = 120.0


def memory(cluster: Cluster, label: str) -> None:
    """Print what the control plane holds, as PSS: pages that processes share are counted once."""
    pids = {actor["name"]: actor["pid"] for actor in cluster.status()["actors"]}
    held = {name: psutil.Process(pid).memory_full_info().pss / 1e6 for name, pid in pids.items()}
    shown = "  ".join(f"{role} {sum(mb for name, mb in held.items() if name.startswith(role + '@')):.0f}"
                      for role in CONTROL_PLANE)  # fmt: skip
    print(f"{label:32} {shown} MB PSS")


async def write(target: Target, verb: str, requests: Iterator[tuple[str, object]]) -> None:
    """Send requests on a connection, one after the other, until there are no more."""
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
    for path, body in requests:
        writer.write(target.request(verb, path, body))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.close()


async def fill(target: Target, objects: int) -> None:
    for space in (SPACE, WATCHED):
        await target.once("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    path = f"/api/v1/namespaces/{SPACE}/configmaps"
    made = ((path, config_map(f"held-{number}", PAYLOAD)) for number in range(objects))
    await asyncio.gather(*(write(target, "POST", made) for _ in range(CREATORS)))


class Watches:
    """Open watches of one namespace. `seen` counts what they were told, all together."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._tasks: list[asyncio.Task[None]] = []
        self._slots = asyncio.Semaphore(OPENERS)
        self._opened = asyncio.Semaphore(0)
        self.seen = 0

    async def open(self, count: int) -> None:
        self._tasks = [asyncio.ensure_future(self._follow()) for _ in range(count)]
        for _ in range(count):
            await self._opened.acquire()

    async def told(self, total: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.seen < total:
                await asyncio.sleep(0.02)

    async def _follow(self) -> None:
        target = self._target
        async with self._slots:
            reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls, limit=1 << 24)
            writer.write(target.request("GET", f"/api/v1/namespaces/{WATCHED}/configmaps?watch=1&resourceVersion=0"))
            await reader.readuntil(b"\r\n\r\n")
        self._opened.release()
        while line := await reader.readline():
            self.seen += line.startswith(b'{"type":')


async def measure(cluster: Cluster, options: argparse.Namespace) -> None:
    target = Target(cluster.data_dir / "kubeconfig")
    memory(cluster, "empty")
    await fill(target, options.objects)
    memory(cluster, f"{options.objects} objects")
    watches = Watches(target)
    await watches.open(options.watches)
    memory(cluster, f"and {options.watches} watches")
    path = f"/api/v1/namespaces/{WATCHED}/configmaps"
    for done in range(1, ROUNDS + 1):
        made = ((path, config_map(f"round-{done}-{number}", PAYLOAD)) for number in range(CHANGES))
        before = watches.seen
        await asyncio.gather(*(write(target, "POST", made) for _ in range(8)))
        await watches.told(before + CHANGES * options.watches)
        memory(cluster, f"after {done * CHANGES} changes, told to all")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--watches", type=int, default=1_000)
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    cluster = Cluster(real=False, config=config_of(real=False))
    try:
        cluster.up()
        uvloop.run(measure(cluster, options))
    finally:
        cluster.purge()
        cluster.forget()


if __name__ == "__main__":
    main()
