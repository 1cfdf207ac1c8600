"""Clients that write, compare, read and watch a group of state actors, and record what they were answered.

They use the API server's own client. An operation that ended with an error is recorded as one whose outcome is unknown,
unless the error says that nothing happened.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

from actors.apiserver.storage.client import BusStateClient
from actors.state import messages as m
from actors.state.watch_index import prefix_end
from bus import BusError, Client, Overloaded
from tests.linearizability import CAS, FOREVER, READ, WRITE, Change, Operation

PREFIX = b"/k/"
REST_S = 0.003  # between two operations of a client, so that histories stay short enough to be checked
WATCH_AGAIN_S = 0.05


@dataclass
class Recorded:
    operations: list[Operation] = field(default_factory=list)
    written: list[Change] = field(default_factory=list)  # by answered writes
    revisions: list[tuple[float, float, int]] = field(default_factory=list)  # (begin, end, revision) of answers
    seen: list[list[Change]] = field(default_factory=list)  # by each watch
    gaps_s: list[float] = field(default_factory=list)  # between answered writes, the longest first

    @property
    def longest_gap_s(self):
        ends = sorted(each.end for each in self.operations if each.kind != READ and each.end != FOREVER)
        return max((after - before for before, after in zip(ends, ends[1:], strict=False)), default=0.0)


class Workload:
    def __init__(self, endpoints, seed, clients=6, keys=4, watchers=2):
        self.endpoints = endpoints
        self.recorded = Recorded()
        self.over = asyncio.Event()
        self.random = random.Random(seed)
        self.keys = [f"{PREFIX.decode()}{number}" for number in range(keys)]
        self.values = iter(range(1, 10**9))
        self.clients = [self.client(number) for number in range(clients)]
        self.watchers = watchers

    def client(self, number):
        names = list(self.endpoints)
        first = number % len(names)
        return BusStateClient(
            Client(f"apiserver@c{number}"), {name: self.endpoints[name] for name in names[first:] + names[:first]}
        )

    async def run(self):
        """Work until `over` is set; the watchers go on until they have seen everything."""
        watching = [asyncio.create_task(self.watch(client)) for client in self.clients[: self.watchers]]
        await asyncio.gather(*(self.work(client) for client in self.clients))
        last = (await self.clients[0].revision()).revision
        async with asyncio.timeout(20):
            for seen, task in zip(self.recorded.seen, watching, strict=True):
                while (seen[-1].revision if seen else 1) < last:
                    await asyncio.sleep(0.01)
                task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for client in self.clients:
            client._client.close()
        return last

    async def work(self, client):
        known = {}  # key: the value that this client believes it has
        while not self.over.is_set():
            key = self.random.choice(self.keys)
            kind = self.random.choice([READ, READ, WRITE, CAS])
            value = next(self.values)
            argument = {READ: None, WRITE: value, CAS: (known.get(key), value)}[kind]
            begin = time.monotonic()
            try:
                result, revision = await self.do(client, kind, key, argument)
            except Overloaded:
                continue
            except BusError:
                self.recorded.operations.append(Operation(key, kind, argument, None, begin))
                known.pop(key, None)
                continue
            end = time.monotonic()
            self.recorded.operations.append(Operation(key, kind, argument, result, begin, end))
            self.recorded.revisions.append((begin, end, revision))
            if kind == READ:
                known[key] = result
            elif kind == WRITE or result:
                known[key] = value
                self.recorded.written.append(Change(revision, key, value))
            else:
                known.pop(key, None)
            await asyncio.sleep(REST_S * self.random.random())

    async def do(self, client, kind, key, argument):
        """Return (result, revision)."""
        name = key.encode()
        if kind == READ:
            reply = await client.range(m.Range(name))
            return (int(reply.result.kvs[0].value) if reply.result.kvs else None), reply.revision
        if kind == WRITE:
            return None, (await client.txn(m.Txn([], [m.Put(name, b"%d" % argument)]))).revision
        expected, new = argument
        compare = (
            m.Compare(name, "mod", "=", 0) if expected is None else m.Compare(name, "value", "=", b"%d" % expected)
        )
        reply = await client.txn(m.Txn([compare], [m.Put(name, b"%d" % new)]))
        return reply.result.succeeded, reply.revision

    async def watch(self, client):
        """Follow every change, from one member to another, without a gap."""
        seen = []
        self.recorded.seen.append(seen)
        revision = 1
        while True:
            try:
                request = m.WatchRequest(PREFIX, prefix_end(PREFIX), start_revision=revision + 1, progress_ms=500)
                async with client.watch(request) as batches:
                    async for batch in batches:
                        for event in batch.events:
                            change = Change(event.kv.mod_revision, event.kv.key.decode(), int(event.kv.value))
                            seen.append(change)
                        revision = max(revision, batch.revision)
            except BusError:
                await asyncio.sleep(WATCH_AGAIN_S)
