"""etcd's service Cluster: the members of the group, listed and changed.

A member is named `state@NODE`; etcd's clients know it by a number, made from the name, and name a new one by its peer
URL: `http://NODE:PORT`. The port means nothing, for members talk over the bus. A member that is added begins as a
learner even if it is to vote, and votes once it has caught up, so that it never costs the group its majority; the
answer comes before that.

Neighbours: `door` asks the leader; `membership` decides; `maintenance` names members too.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from urllib.parse import urlsplit

from actors.api.etcd import faults
from actors.api.etcd.proto import rpc_pb2
from actors.state import messages as m
from actors.state.etcd.door import Door
from actors.state.etcd.fault import EtcdFault
from actors.state.etcd.header import Headers, id_of
from actors.state.membership import CATCH_UP_S
from bus.errors import BusError

PEER_PORT = 2380  # in the peer URLs that are shown: etcd's own, for looks
STATUS_S = 0.5  # for a member to say where its clients find it; one that does not is shown as not started
Spawn = Callable[[Coroutine[Any, Any, None], str], Any]


class Cluster:
    def __init__(self, door: Door, headers: Headers, spawn: Spawn, log: Any):
        self._door = door
        self._headers = headers
        self._spawn = spawn
        self._log = log

    async def MemberList(self, request: rpc_pb2.MemberListRequest, context: Any) -> rpc_pb2.MemberListResponse:
        members = await self._members()
        return rpc_pb2.MemberListResponse(header=self._headers.now(), members=members)

    async def MemberAdd(self, request: rpc_pb2.MemberAddRequest, context: Any) -> rpc_pb2.MemberAddResponse:
        name = name_of(request.peerURLs)
        reply = await self._door.ask(m.MemberAddRequest(name, as_learner=True))
        if not request.isLearner:
            self._spawn(self._promote(name), f"promotion of {name}")
        members = await self._shown(reply.members)
        added = next(shown for shown, member in zip(members, reply.members, strict=True) if member.name == name)
        return rpc_pb2.MemberAddResponse(header=self._headers.now(), member=added, members=members)

    async def MemberRemove(self, request: rpc_pb2.MemberRemoveRequest, context: Any) -> rpc_pb2.MemberRemoveResponse:
        name = await self.name_by_id(request.ID)
        reply = await self._door.ask(m.MemberRemoveRequest(name))
        members = await self._shown(reply.members)
        return rpc_pb2.MemberRemoveResponse(header=self._headers.now(), members=members)

    async def MemberUpdate(self, request: rpc_pb2.MemberUpdateRequest, context: Any) -> rpc_pb2.MemberUpdateResponse:
        """A member's address follows from its name: only what it is already is accepted."""
        if name_of(request.peerURLs) != await self.name_by_id(request.ID):
            raise EtcdFault(faults.BAD_MEMBER_URLS)
        return rpc_pb2.MemberUpdateResponse(header=self._headers.now(), members=await self._members())

    async def MemberPromote(self, request: rpc_pb2.MemberPromoteRequest, context: Any) -> rpc_pb2.MemberPromoteResponse:
        name = await self.name_by_id(request.ID)
        before = (await self._door.ask(m.MemberListRequest())).members
        if any(member.name == name and member.votes for member in before):
            raise EtcdFault(faults.NOT_A_LEARNER)
        reply = await self._door.ask(m.MemberPromoteRequest(name))
        members = await self._shown(reply.members)
        return rpc_pb2.MemberPromoteResponse(header=self._headers.now(), members=members)

    async def name_by_id(self, number: int) -> str:
        """Return the name of a member; refused when there is none of that number."""
        reply = await self._door.ask(m.MemberListRequest())
        for member in reply.members:
            if id_of(member.name) == number:
                return member.name
        raise EtcdFault(faults.MEMBER_NOT_FOUND)

    async def _members(self) -> list[rpc_pb2.Member]:
        return await self._shown((await self._door.ask(m.MemberListRequest())).members)

    async def _shown(self, members: Iterable[m.Member]) -> list[rpc_pb2.Member]:
        return list(await asyncio.gather(*map(self._shown_one, members)))

    async def _shown_one(self, member: m.Member) -> rpc_pb2.Member:
        shown = rpc_pb2.Member(
            ID=id_of(member.name), peerURLs=[url_of(member.name)], isLearner=not member.votes, name=member.name
        )
        try:
            status = await self._door.ask_member(member.name, m.StatusRequest(), STATUS_S)
        except BusError:
            if shown.isLearner:
                shown.name = ""  # so etcd shows one that was added and has not been started
            return shown
        if status.etcd_url:
            shown.clientURLs.append(status.etcd_url)
        return shown

    async def _promote(self, name: str) -> None:
        try:
            await self._door.ask(m.MemberAddRequest(name), CATCH_UP_S)
        except BusError as error:
            self._log.warning("a member that was added does not vote yet", member=name, reason=error.message)


def name_of(peer_urls: Iterable[str]) -> str:
    """Return the member that peer URLs speak of."""
    hosts = {_host_of(url) for url in peer_urls}
    if len(hosts) != 1 or not (host := hosts.pop()):
        raise EtcdFault(faults.BAD_MEMBER_URLS)
    return f"state@{host}"


def url_of(name: str) -> str:
    return f"http://{name.partition('@')[2]}:{PEER_PORT}"


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
