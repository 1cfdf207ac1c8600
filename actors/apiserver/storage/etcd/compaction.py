"""Forgetting an etcd cluster's history, which the state actors do by themselves.

Any number of API servers share the work as Kubernetes' own do, and together with those: each period one of them,
whoever comes first, writes the key that counts the periods, and compacts to the revision that was current at its own
last look. So history of at least a period stays for clients to go on from.

Neighbours: `client` asks etcd; the API server's actor runs it.
"""

import asyncio
from typing import Any

from actors.apiserver.storage.etcd.client import EtcdStateClient
from actors.state.messages import COMPACTED, Compare, Put, Range, RangeResult, Txn
from bus import BusError, RemoteError

KEY = b"compact_rev_key"  # Kubernetes' own: API servers of both kinds on one etcd agree on it


class Compaction:
    def __init__(self, state: EtcdStateClient, every_s: float, log: Any) -> None:
        self._state = state
        self._every_s = every_s
        self._log = log
        self._period = 0  # the version of the key, as it was last seen
        self._revision = 0  # that was current then

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                compacted = await self.step()
            except BusError as error:
                self._log.warning("history was not compacted", reason=str(error))
            else:
                if compacted:
                    self._log.info("history compacted", revision=compacted)

    async def step(self) -> int:
        """Compact if this API server is the first of this period; return the revision, or 0. Raises BusError."""
        mine = Put(KEY, b"%d" % self._revision)
        reply = await self._state.txn(Txn([Compare(KEY, "version", "=", self._period)], [mine], [Range(KEY)]))
        last, self._revision = self._revision, reply.revision
        if not reply.result.succeeded:
            found = reply.result.responses[0]
            assert isinstance(found, RangeResult), "the failure branch is a range"
            self._period = found.kvs[0].version if found.kvs else 0
            return 0
        self._period += 1
        if not last:
            return 0
        try:
            await self._state.compact(last)
        except RemoteError as error:
            if error.kind != COMPACTED:  # somebody else compacts too, and further
                raise
            return 0
        return last
