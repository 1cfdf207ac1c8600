"""The group of state actors: how it is, who belongs to it, and all that it stores."""

from typing import ClassVar

from actors.state.messages.senders import OPERATORS, READERS
from bus.record import Record, Request


class StatusReply(Record, frozen=True, array_like=True, gc=False):
    member: str
    leader: str
    revision: int
    compact_revision: int
    keys: int
    log_bytes: int
    format_version: int
    alarms: list[str] = []
    term: int = 0
    last_index: int = 0
    commit_index: int = 0
    applied_index: int = 0
    is_learner: bool = False
    cluster_id: str = ""
    etcd_url: str = ""  # where etcd's clients reach this member; empty: they don't
    live_bytes: int = 0


class StatusRequest(Request, frozen=True, array_like=True, gc=False):
    """How this member sees the group; no other is asked."""

    method: ClassVar[str] = "state.status"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = StatusReply


class SaveChunk(Record, frozen=True, array_like=True, gc=False):
    data: bytes


class SaveRequest(Request, frozen=True, array_like=True, gc=False):
    """Everything, as it is now, linearizably: the chunks of an image, for somebody who keeps it elsewhere."""

    method: ClassVar[str] = "state.save"
    roles: ClassVar[frozenset[str]] = frozenset({"cli"})
    reply: ClassVar[type[Record]] = SaveChunk
    stream: ClassVar[bool] = True


class Member(Record, frozen=True, array_like=True, gc=False):
    name: str
    votes: bool  # no: a learner
    is_active: bool = True  # as far as the leader knows
    behind: int = 0  # entries of the log that are not known to be on its disk


class MembersReply(Record, frozen=True, array_like=True, gc=False):
    leader: str
    members: list[Member]


class MemberListRequest(Request, frozen=True, array_like=True, gc=False):
    """The members, as the leader sees them. Like all of these, NOT_LEADER by any other."""

    method: ClassVar[str] = "state.member_list"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = MembersReply


class MemberAddRequest(Request, frozen=True, array_like=True, gc=False):
    """Add a learner, and unless `as_learner` make it vote once it has caught up; answered then."""

    method: ClassVar[str] = "state.member_add"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = MembersReply

    name: str
    as_learner: bool = False


class MemberPromoteRequest(Request, frozen=True, array_like=True, gc=False):
    """Let a learner vote; UNHEALTHY while it is behind."""

    method: ClassVar[str] = "state.member_promote"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = MembersReply

    name: str


class MemberRemoveRequest(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "state.member_remove"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = MembersReply

    name: str


class MoveLeaderRequest(Request, frozen=True, array_like=True, gc=False):
    """Hand the lead over to a voter; answered when it leads, or UNHEALTHY when that did not work out."""

    method: ClassVar[str] = "state.move_leader"
    roles: ClassVar[frozenset[str]] = OPERATORS
    reply: ClassVar[type[Record]] = MembersReply

    to: str
