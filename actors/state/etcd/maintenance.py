"""etcd's service Maintenance: how the member is, hashes, snapshots, the lead.

Alarms are the state actor's own: one is there while its reason is, so none can be raised or cleared from outside. To
defragment is to write a snapshot and drop the log that it covers: what there is to be gained on disk.

Neighbours: `door` and `members` for what concerns others; `archive` and `keyspace_hash` do the work.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from crc32c import crc32c
from grpc import StatusCode

from actors.api.etcd import faults
from actors.api.etcd.proto import rpc_pb2
from actors.api.etcd.rpc import API_VERSION
from actors.api.meta import now_rfc3339
from actors.state import archive, keyspace_hash
from actors.state import messages as m
from actors.state.etcd.door import Door
from actors.state.etcd.fault import EtcdFault
from actors.state.etcd.header import Headers, id_of
from actors.state.etcd.members import STATUS_S, Cluster
from actors.state.service import MAX_LIVE_BYTES, Service
from bus.errors import BusError
from runtime.clock import Clock

BLOB_BYTES = 64 * 1024  # of a snapshot in one message, about; an image's chunk may be larger


class Maintenance:
    def __init__(
        self, door: Door, headers: Headers, service: Service, cluster: Cluster, cluster_name: str, clock: Clock
    ):
        self._door = door
        self._headers = headers
        self._service = service
        self._cluster = cluster
        self._cluster_name = cluster_name
        self._clock = clock

    async def Status(self, request: rpc_pb2.StatusRequest, context: Any) -> rpc_pb2.StatusResponse:
        status = await self._door.ask_member(self._door.member, m.StatusRequest(), STATUS_S)
        storage = self._service.committer.storage
        errors = list(status.alarms) if status.leader else [*status.alarms, faults.NO_LEADER[1]]
        return rpc_pb2.StatusResponse(
            header=self._headers.now(),
            version=API_VERSION,
            dbSize=status.log_bytes + storage.snapshot_bytes,
            leader=id_of(status.leader) if status.leader else 0,
            raftIndex=status.commit_index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied_index,
            errors=errors,
            dbSizeInUse=status.live_bytes,
            isLearner=status.is_learner,
            storageVersion=API_VERSION.rpartition(".")[0],
            dbSizeQuota=MAX_LIVE_BYTES,
        )

    async def Alarm(self, request: rpc_pb2.AlarmRequest, context: Any) -> rpc_pb2.AlarmResponse:
        if request.action == rpc_pb2.AlarmRequest.ACTIVATE:
            raise EtcdFault((StatusCode.UNIMPLEMENTED, "etcdserver: alarms are raised by what they tell of alone"))
        alarms: list[rpc_pb2.AlarmMember] = []
        if request.action == rpc_pb2.AlarmRequest.GET:
            reply = await self._door.ask(m.MemberListRequest())
            found = await asyncio.gather(*(self._alarms_of(member.name) for member in reply.members))
            alarms = [alarm for of_member in found for alarm in of_member]
        wanted = [
            alarm
            for alarm in alarms
            if request.memberID in (0, alarm.memberID) and request.alarm in (rpc_pb2.NONE, alarm.alarm)
        ]
        return rpc_pb2.AlarmResponse(header=self._headers.now(), alarms=wanted)

    async def _alarms_of(self, member: str) -> list[rpc_pb2.AlarmMember]:
        try:
            status = await self._door.ask_member(member, m.StatusRequest(), STATUS_S)
        except BusError:
            return []  # away: it has no alarm that anybody could act on
        kinds = {rpc_pb2.NOSPACE if alarm.startswith("NOSPACE") else rpc_pb2.CORRUPT for alarm in status.alarms}
        return [rpc_pb2.AlarmMember(memberID=id_of(member), alarm=kind) for kind in sorted(kinds)]

    async def Defragment(self, request: rpc_pb2.DefragmentRequest, context: Any) -> rpc_pb2.DefragmentResponse:
        await self._service.committer.snapshots.take()
        return rpc_pb2.DefragmentResponse(header=self._headers.now())

    async def Hash(self, request: rpc_pb2.HashRequest, context: Any) -> rpc_pb2.HashResponse:
        """Of everything: the keys and the leases."""
        versions = keyspace_hash.versions_of(self._service.store)
        leases = repr(sorted(self._service.store.leases.items())).encode()
        checksum = crc32c(leases, await asyncio.to_thread(versions.hash))
        return rpc_pb2.HashResponse(header=self._headers.now(), hash=checksum)

    async def HashKV(self, request: rpc_pb2.HashKVRequest, context: Any) -> rpc_pb2.HashKVResponse:
        versions = keyspace_hash.versions_of(self._service.store, max(0, request.revision))
        header = self._headers.now()
        return rpc_pb2.HashKVResponse(
            header=header,
            hash=await asyncio.to_thread(versions.hash),
            compact_revision=versions.compact_revision,
            hash_revision=versions.revision,
        )

    async def Snapshot(self, request: rpc_pb2.SnapshotRequest, context: Any) -> AsyncIterator[rpc_pb2.SnapshotResponse]:
        """Give an archive, as the command line saves it, but without the cluster's keys."""
        committer = self._service.committer
        if (current := committer.barrier()) is not None:
            await current
        taken = committer.core.capture(committer.storage.group.cluster_id)
        header = self._headers.now(taken.head.revision)
        now = now_rfc3339(self._clock)
        manifest = archive.manifest_of(taken.head, self._cluster_name, self._door.member, now)
        store = self._service.store
        left_bytes = store.live_bytes + store.history.superseded_bytes  # about: what comes is not known before
        for blob in _blobs(archive.pieces(manifest, [], taken.chunks())):
            left_bytes = max(0, left_bytes - len(blob))
            yield rpc_pb2.SnapshotResponse(header=header, remaining_bytes=left_bytes, blob=blob, version=API_VERSION)

    async def MoveLeader(self, request: rpc_pb2.MoveLeaderRequest, context: Any) -> rpc_pb2.MoveLeaderResponse:
        """Only of the leader, as in etcd."""
        if not self._service.committer.core.is_leader:
            raise EtcdFault(faults.NOT_LEADER)
        try:
            name = await self._cluster.name_by_id(request.targetID)
        except EtcdFault:
            raise EtcdFault(faults.BAD_TRANSFEREE) from None
        await self._door.ask(m.MoveLeaderRequest(name))
        return rpc_pb2.MoveLeaderResponse(header=self._headers.now())

    async def Downgrade(self, request: rpc_pb2.DowngradeRequest, context: Any) -> rpc_pb2.DowngradeResponse:
        raise EtcdFault((StatusCode.UNIMPLEMENTED, "etcdserver: this is not etcd: it cannot be downgraded to one"))


def _blobs(pieces):
    """Join pieces that are small."""
    held: list[bytes] = []
    size_bytes = 0
    for piece in pieces:
        held.append(piece)
        size_bytes += len(piece)
        if size_bytes >= BLOB_BYTES:
            yield b"".join(held)
            held, size_bytes = [], 0
    if held:
        yield b"".join(held)
