"""What `bench_beside_etcd` compares, behind one interface: a group of state actors, and a real etcd.

Both are processes on a directory of this machine's disk, synced. Each is asked over what it speaks itself, by the API
server's driver for it: state actors over the bus, etcd over gRPC.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import psutil

from actors.apiserver.storage.client import BusStateClient, StateClient
from actors.state import messages as m
from bus import Client
from tests.actors.state.state_group import StateGroup
from tests.real_etcd import RealEtcd

STREAMS = 4  # connections that share the watches
Seen = Callable[[], None]


class System(Protocol):
    name: str

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def processes(self) -> list[psutil.Process]: ...

    async def client(self, number: int) -> StateClient:
        """A client that shares nothing with others."""

    async def close(self, client: Any) -> None: ...

    def kill_leader(self) -> Callable[[], None]:
        """Kill it with -9, and return what starts it again."""

    def restart(self) -> None:
        """Kill the only member with -9, and start it again; returns once it takes connections."""

    def watches(self, keys: list[bytes], seen: Seen) -> contextlib.AbstractAsyncContextManager[None]:
        """Watch each key by a watch of its own; entered when all are open."""


class StateActors:
    name = "state actor"

    def __init__(self, path: Path, size: int):
        self._group = StateGroup(path, size)

    def start(self) -> None:
        self._group.start()

    def stop(self) -> None:
        self._group.stop()

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(each.process.pid) for each in self._group.members.values() if each.process is not None]

    async def client(self, number: int) -> BusStateClient:
        return BusStateClient(Client(f"apiserver@bench{number}"), self._group.endpoints)

    async def close(self, client: BusStateClient) -> None:
        """Its sockets end with the process."""

    def kill_leader(self) -> Callable[[], None]:
        leader = self._group.wait_for_leader()
        leader.kill()
        return lambda: leader.start() and None

    def restart(self) -> None:
        (member,) = self._group.members.values()
        member.kill()
        member.start()

    @contextlib.asynccontextmanager
    async def watches(self, keys: list[bytes], seen: Seen) -> AsyncIterator[None]:
        (endpoint,) = self._group.endpoints.values()
        clients = [Client(f"apiserver@watch{number}") for number in range(STREAMS)]
        opened = asyncio.Semaphore(0)

        async def follow(client: Client, key: bytes) -> None:
            async with client.stream(endpoint, m.WatchRequest(key), timeout_s=60) as batches:
                async for batch in batches:
                    seen() if batch.events else opened.release()

        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(follow(clients[n % STREAMS], key)) for n, key in enumerate(keys)]
        for _ in keys:
            await opened.acquire()
        try:
            yield
        finally:
            await _end(tasks)
            for client in clients:
                client.close()


class Etcd:
    def __init__(self, path: Path, size: int):
        self._etcd = RealEtcd(path, size, sync=True)
        self.name = "etcd " + self._etcd.version()
        self._endpoints: list[str] = []  # the leader's first, as it was when the first client came

    def start(self) -> None:
        self._etcd.start()

    def stop(self) -> None:
        self._etcd.stop()

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(each.pid) for each in self._etcd.processes.values()]

    async def client(self, number: int) -> StateClient:
        # Here: gRPC's threads must not be there when state actors are forked.
        from actors.apiserver.storage.etcd.client import EtcdStateClient
        from actors.apiserver.storage.etcd.peers import Peers

        if not self._endpoints:
            leader = self._etcd.names.index(await asyncio.to_thread(self._leader))
            self._endpoints = self._etcd.endpoints[leader:] + self._etcd.endpoints[:leader]
        return EtcdStateClient(Peers(self._endpoints, None, Path()))

    async def close(self, client: Any) -> None:
        await client.close()

    def kill_leader(self) -> Callable[[], None]:
        leader = self._leader()
        self._etcd.kill(leader)

        def revive() -> None:
            self._etcd.launch(leader)
            self._etcd.wait(leader)

        return revive

    def restart(self) -> None:
        (name,) = self._etcd.names
        self._etcd.kill(name)
        self._etcd.launch(name)
        self._etcd.wait_for_port(name)

    @contextlib.asynccontextmanager
    async def watches(self, keys: list[bytes], seen: Seen) -> AsyncIterator[None]:
        """As etcd's own clients do, many watches share a stream."""
        from actors.api.etcd.proto import rpc_pb2
        from actors.apiserver.storage.etcd.peers import Peers

        opened = asyncio.Semaphore(0)

        async def follow(call: Any) -> None:
            async for response in call:
                seen() if response.events else opened.release()

        peers = [Peers(self._etcd.endpoints, None, Path()) for _ in range(STREAMS)]
        calls = [(await each.ready()).call("Watch")() for each in peers]
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(follow(call)) for call in calls]
        for number, key in enumerate(keys):
            create = rpc_pb2.WatchCreateRequest(key=key)
            await calls[number % STREAMS].write(rpc_pb2.WatchRequest(create_request=create))
        for _ in keys:
            await opened.acquire()
        try:
            yield
        finally:
            await _end(tasks)
            for each in peers:
                await each.close()

    def by_its_own_tool(self, seconds: float) -> tuple[float, float]:
        """Have `etcdctl check perf` put as fast as it may (1,000 clients, 15,000/s at most); return puts/s and the
        members' CPU seconds for each."""
        tool = self._etcd.etcdctl_in_background("check", "perf", "--load=xl")
        try:
            time.sleep(1.5)  # its clients connect
            processes = self.processes()
            begin_s, begin, before_s = time.monotonic(), self._revision(), _cpu_s(processes)
            time.sleep(seconds)
            puts, spent_s = self._revision() - begin, _cpu_s(processes) - before_s
            return puts / (time.monotonic() - begin_s), spent_s / max(1, puts)
        finally:
            tool.kill()
            tool.wait()

    def _leader(self) -> str:
        for name, endpoint in zip(self._etcd.names, self._etcd.endpoints, strict=True):
            if name in self._etcd.processes:
                status = self._status(endpoint)
                if status["header"]["member_id"] == status["leader"]:
                    return name
        raise LookupError("nobody leads")

    def _revision(self) -> int:
        return int(self._status(self._etcd.endpoints[0])["header"]["revision"])

    def _status(self, endpoint: str) -> dict[str, Any]:
        return json.loads(self._etcd.etcdctl("endpoint", "status", "-w", "json", endpoint=endpoint).stdout)[0]["Status"]


def _cpu_s(processes: Any) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
