"""etcd's service Lease.

Neighbours: `door` asks the leader, on whose clock leases run; `front` serves it.
"""

from collections.abc import AsyncIterator
from typing import Any

from actors.api.etcd import faults
from actors.api.etcd.proto import rpc_pb2
from actors.state import messages as m
from actors.state.etcd.door import Door
from actors.state.etcd.fault import EtcdFault
from actors.state.etcd.header import Headers
from actors.state.lease import MAX_TTL_S, MIN_TTL_S
from bus.errors import RemoteError


class Lease:
    def __init__(self, door: Door, headers: Headers):
        self._door = door
        self._headers = headers

    async def LeaseGrant(self, request: rpc_pb2.LeaseGrantRequest, context: Any) -> rpc_pb2.LeaseGrantResponse:
        if request.TTL > MAX_TTL_S:
            raise EtcdFault(faults.LEASE_TTL_TOO_LARGE)
        reply = await self._door.ask(m.LeaseGrantRequest(max(MIN_TTL_S, request.TTL), request.ID))
        return rpc_pb2.LeaseGrantResponse(header=self._headers.now(), ID=reply.lease, TTL=reply.ttl_s)

    async def LeaseRevoke(self, request: rpc_pb2.LeaseRevokeRequest, context: Any) -> rpc_pb2.LeaseRevokeResponse:
        reply = await self._door.ask(m.LeaseRevokeRequest(request.ID))
        return rpc_pb2.LeaseRevokeResponse(header=self._headers.now(reply.revision))

    async def LeaseKeepAlive(
        self, requests: AsyncIterator[rpc_pb2.LeaseKeepAliveRequest], context: Any
    ) -> AsyncIterator[rpc_pb2.LeaseKeepAliveResponse]:
        """Answer each with the lease's full time, or none when there is no such lease."""
        async for request in requests:
            try:
                ttl_s = (await self._door.ask(m.LeaseKeepAliveRequest(request.ID))).ttl_s
            except RemoteError as error:
                if error.kind != m.LEASE_NOT_FOUND:
                    raise
                ttl_s = 0
            yield rpc_pb2.LeaseKeepAliveResponse(header=self._headers.now(), ID=request.ID, TTL=ttl_s)

    async def LeaseTimeToLive(
        self, request: rpc_pb2.LeaseTimeToLiveRequest, context: Any
    ) -> rpc_pb2.LeaseTimeToLiveResponse:
        reply = await self._door.ask(m.LeaseTimeToLiveRequest(request.ID, request.keys))
        return rpc_pb2.LeaseTimeToLiveResponse(
            header=self._headers.now(),
            ID=request.ID,
            TTL=reply.ttl_s,
            grantedTTL=reply.granted_ttl_s,
            keys=reply.keys,
        )

    async def LeaseLeases(self, request: rpc_pb2.LeaseLeasesRequest, context: Any) -> rpc_pb2.LeaseLeasesResponse:
        reply = await self._door.ask(m.LeaseListRequest())
        leases = [rpc_pb2.LeaseStatus(ID=lease) for lease in reply.leases]
        return rpc_pb2.LeaseLeasesResponse(header=self._headers.now(), leases=leases)
