"""Requests of etcd's clients, which ask any member: answered here, or handed to the member that leads.

A write that had to be asked again, because the lead moved, is asked under the same message id: the group remembers its
answer, so it is not done twice. What the group does not remember (compaction, the end of a lease, membership) is not
asked again once it may have been done.

Neighbours: the services of this room ask through it; `service` and `membership` answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actors.state import messages as m
from actors.state.membership import Membership
from actors.state.service import Service
from bus import Client, Context, DeadlineExceeded, RemoteError, Unavailable
from bus.frames import new_id
from bus.record import Record, Request
from runtime.clock import Clock

REQUEST_S = 7.0  # as etcd: five seconds, and time for an election
ATTEMPT_S = 2.0  # for one member to answer what may be asked again
PAUSE_S = 0.02  # before the next attempt while nobody leads; doubles
MAX_PAUSE_S = 0.2

Handler = Callable[[Any, Context], Record | Awaitable[Record]]


class Door:
    """Asks a member of the group, this one first."""

    def __init__(
        self,
        service: Service,
        membership: Membership,
        client: Client,
        endpoint_of: Callable[[str], str],
        clock: Clock,
    ):
        self.member = service.member
        self._service = service
        self._client = client
        self._endpoint_of = endpoint_of
        self._clock = clock
        self._handlers: dict[type[Request], Handler] = {
            m.RangeRequest: service.range,
            m.TxnRequest: service.txn,
            m.CompactRequest: service.compact,
            m.LeaseGrantRequest: service.lease_grant,
            m.LeaseKeepAliveRequest: service.lease_keep_alive,
            m.LeaseRevokeRequest: service.lease_revoke,
            m.LeaseTimeToLiveRequest: service.lease_time_to_live,
            m.LeaseListRequest: service.lease_list,
            m.StatusRequest: service.status,
            m.MemberListRequest: membership.list,
            m.MemberAddRequest: membership.add,
            m.MemberPromoteRequest: membership.promote,
            m.MemberRemoveRequest: membership.remove,
            m.MoveLeaderRequest: membership.move_leader,
        }

    async def ask(self, request: Request, timeout_s: float = REQUEST_S) -> Any:
        """Return the group's answer. Raises BusError; NOT_LEADER when nobody has led for all that time."""
        end_s = self._clock.monotonic() + timeout_s
        message_id = new_id()
        since = self._service.store.revision
        target, pause_s = self.member, PAUSE_S
        while True:
            left_s = end_s - self._clock.monotonic()
            repeat = _repeat_of(request, since)
            try:
                return await self._attempt(target, request, message_id, min(left_s, ATTEMPT_S if repeat else left_s))
            except RemoteError as error:
                if error.kind != m.NOT_LEADER or left_s <= pause_s:
                    raise
                leader = (error.detail or {}).get("leader", "")
                if leader and leader != target:
                    target = leader
                    continue
                target = self.member
            except (Unavailable, DeadlineExceeded):
                if repeat is None or left_s <= pause_s:
                    raise
                request, target = repeat, self.member
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def ask_member(self, name: str, request: Request, timeout_s: float) -> Any:
        """Return one member's own answer."""
        return await self._attempt(name, request, new_id(), timeout_s)

    async def _attempt(self, target: str, request: Request, message_id: str, timeout_s: float) -> Any:
        if target != self.member:
            endpoint = self._endpoint_of(target)
            return await self._client.request(endpoint, request, timeout_s=timeout_s, message_id=message_id)
        deadline = self._clock.monotonic() + timeout_s
        context = Context(self.member, message_id, "", deadline, self._clock.monotonic)
        answer = self._handlers[type(request)](request, context)
        if isinstance(answer, Record):
            return answer
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise DeadlineExceeded("the group has not answered in time") from None


def _repeat_of(request: Request, since: int) -> Request | None:
    """Return what may be asked once a request may have been done; None: nothing."""
    if isinstance(request, m.TxnRequest):
        return msgspec.structs.replace(request, repeats_since=since)
    once = (
        m.CompactRequest, m.LeaseRevokeRequest, m.MemberAddRequest, m.MemberPromoteRequest, m.MemberRemoveRequest,
        m.MoveLeaderRequest,
    )  # fmt: skip
    return None if isinstance(request, once) else request
