"""Leases: keys hang on them, and go when their time is over."""

from typing import ClassVar

from actors.state.messages.keyspace import RevisionReply
from actors.state.messages.senders import READERS, WRITERS
from bus.record import Record, Request


class LeaseReply(Record, frozen=True, array_like=True, gc=False):
    lease: int
    ttl_s: int  # remaining; -1 when the lease is gone
    granted_ttl_s: int = 0
    keys: list[bytes] = []


class LeaseGrantRequest(Request, frozen=True, array_like=True, gc=False):
    """Grant a lease of `ttl_s` seconds; id 0 lets the store choose. A repeat is answered as that of a txn is."""

    method: ClassVar[str] = "state.lease_grant"
    roles: ClassVar[frozenset[str]] = WRITERS
    reply: ClassVar[type[Record]] = LeaseReply

    ttl_s: int
    lease: int = 0


class LeaseKeepAliveRequest(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "state.lease_keep_alive"
    roles: ClassVar[frozenset[str]] = WRITERS
    reply: ClassVar[type[Record]] = LeaseReply

    lease: int


class LeaseRevokeRequest(Request, frozen=True, array_like=True, gc=False):
    """End a lease and delete its keys."""

    method: ClassVar[str] = "state.lease_revoke"
    roles: ClassVar[frozenset[str]] = WRITERS
    reply: ClassVar[type[Record]] = RevisionReply

    lease: int


class LeaseTimeToLiveRequest(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "state.lease_time_to_live"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = LeaseReply

    lease: int
    keys: bool = False


class LeaseListReply(Record, frozen=True, array_like=True, gc=False):
    leases: list[int]


class LeaseListRequest(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "state.lease_list"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = LeaseListReply
