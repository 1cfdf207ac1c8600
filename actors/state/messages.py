"""What the state actor answers: etcd v3's data model in Kubus' records.

Keys and values are bytes. A `revision` is the store's logical clock: every txn that writes gets the next one. A
`range_end` follows etcd: empty means the single key, b"\\0" means everything from the key on, otherwise the half-open
range [key, range_end). Errors are `bus.RemoteError` whose `kind` is one of `ERRORS`.

Any member answers reads and watches, linearizably. Writes and leases are the leader's: another member refuses with
NOT_LEADER and says who leads, and its caller goes there.

Sender: the API server (and the command line, for reads and membership). Receiver: the state actor.
"""

from typing import Any, ClassVar

from bus.record import Record, Request

READERS = frozenset({"apiserver", "cli", "state"})
WRITERS = frozenset({"apiserver", "state"})
OPERATORS = frozenset({"cli", "state", "apiserver"})

COMPACTED = "compacted"  # detail {"compact_revision": int}: the wanted revision is gone
FUTURE_REVISION = "future_revision"  # the wanted revision is ahead of the store
KEY_NOT_FOUND = "key_not_found"  # a put that keeps value or lease found none to keep
LEASE_NOT_FOUND = "lease_not_found"
LEASE_EXISTS = "lease_exists"
TOO_MANY_OPERATIONS = "too_many_operations"
REQUEST_TOO_LARGE = "request_too_large"
DUPLICATE_KEY = "duplicate_key"  # one txn puts the same key twice
NO_SPACE = "no_space"
NOT_LEADER = "not_leader"  # detail {"leader": name or ""}
INVALID = "invalid"
UNKNOWN_OUTCOME = "unknown_outcome"  # a repeat of what may have been done, too long ago to tell
MEMBER_NOT_FOUND = "member_not_found"
UNHEALTHY = "unhealthy"  # a membership change that comes too early, or would put the group at risk
WRONG_CLUSTER = "wrong_cluster"
LOST_DATA = "lost_data"  # a member comes without the data that it had

ERRORS = frozenset(
    {COMPACTED, FUTURE_REVISION, KEY_NOT_FOUND, LEASE_NOT_FOUND, LEASE_EXISTS, TOO_MANY_OPERATIONS, REQUEST_TOO_LARGE,
     DUPLICATE_KEY, NO_SPACE, NOT_LEADER, INVALID, UNKNOWN_OUTCOME, MEMBER_NOT_FOUND, UNHEALTHY,
     WRONG_CLUSTER, LOST_DATA}
)  # fmt: skip

MAX_TXN_OPERATIONS = 128  # etcd's default; a larger txn is refused with TOO_MANY_OPERATIONS
MAX_REQUEST_BYTES = 1_572_864  # 1.5 MiB, etcd's default; a larger request is refused with REQUEST_TOO_LARGE


class KeyValue(Record, frozen=True, array_like=True, gc=False):
    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int  # 1 at creation, one more with every put
    lease: int = 0  # 0: none


class Range(Record, frozen=True, array_like=True, gc=False, tag="range"):
    """An operation of a txn, and the body of RangeRequest: keys in order. `revision` 0 means now, `limit` 0 all."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    keys_only: bool = False
    count_only: bool = False
    sort_target: str = "key"  # key | version | create | mod | value
    descending: bool = False


class Put(Record, frozen=True, array_like=True, gc=False, tag="put"):
    """`ignore_value` and `ignore_lease` keep what the key has; KEY_NOT_FOUND when there is no such key."""

    key: bytes
    value: bytes
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRange(Record, frozen=True, array_like=True, gc=False, tag="delete"):
    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


class Compare(Record, frozen=True, array_like=True, gc=False):
    """`target` is value | version | create | mod | lease; `result` is = | != | < | >. A missing key is all zeros.

    A value compare of a missing key never holds. With a `range_end` the compare must hold for every key of the range.
    """

    key: bytes
    target: str
    result: str
    operand: int | bytes
    range_end: bytes = b""


class Txn(Record, frozen=True, array_like=True, gc=False, tag="txn"):
    """If every compare holds, run `success`, else `failure`; all under one revision. Txns may nest."""

    compare: list[Compare]
    success: list["Operation"]
    failure: list["Operation"] = []


Operation = Range | Put | DeleteRange | Txn


class RangeResult(Record, frozen=True, array_like=True, gc=False, tag="range"):
    kvs: list[KeyValue]
    count: int  # of all keys in the range, however many `limit` let through
    more: bool = False


class PutResult(Record, frozen=True, array_like=True, gc=False, tag="put"):
    prev_kv: KeyValue | None = None


class DeleteRangeResult(Record, frozen=True, array_like=True, gc=False, tag="delete"):
    deleted: int
    prev_kvs: list[KeyValue] = []


class TxnResult(Record, frozen=True, array_like=True, gc=False, tag="txn"):
    succeeded: bool
    responses: list["Result"]


Result = RangeResult | PutResult | DeleteRangeResult | TxnResult


class RangeReply(Record, frozen=True, array_like=True, gc=False):
    revision: int
    result: RangeResult


class RangeRequest(Request, frozen=True, array_like=True, gc=False):
    """Read keys. Linearizable unless `serializable`."""

    method: ClassVar[str] = "state.range"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = RangeReply

    range: Range
    serializable: bool = False


class TxnReply(Record, frozen=True, array_like=True, gc=False):
    revision: int  # of the store after the txn
    result: TxnResult


class TxnRequest(Request, frozen=True, array_like=True, gc=False):
    """Compare and write. Answered when durable. A repeat under the same message id gets the first answer, from
    whichever member leads by then. `repeats_since` says that this is a repeat, and which revision its sender knew
    when it first asked: if that is so long ago that answers since then are forgotten, UNKNOWN_OUTCOME.
    """

    method: ClassVar[str] = "state.txn"
    roles: ClassVar[frozenset[str]] = WRITERS
    reply: ClassVar[type[Record]] = TxnReply

    txn: Txn
    repeats_since: int = -1


class TxnOutcome(Record, frozen=True, array_like=True, gc=False):
    """Of one txn among several: its reply, or the error that it would have been refused with alone."""

    reply: TxnReply | None
    error: tuple[str, str, Any, str] | None = None  # as `bus.errors.to_wire` gives it


class TxnsReply(Record, frozen=True, array_like=True, gc=False):
    outcomes: list[TxnOutcome]  # in the order of the request
    revision: int  # of the store after the last


class TxnsRequest(Request, frozen=True, array_like=True, gc=False):
    """Several txns in one message, for what a message costs. Each stands for itself: they are neither atomic nor in any
    order, and one may fail where others don't. Answered once all are durable or refused. The n-th, from 0, has the
    message id `MESSAGE_ID.n`: a TxnRequest under that id repeats it, and gets the same answer.
    """

    method: ClassVar[str] = "state.txns"
    roles: ClassVar[frozenset[str]] = WRITERS
    reply: ClassVar[type[Record]] = TxnsReply

    txns: list[Txn]


def id_among(message_id: str, number: int) -> str:
    """Return the id of one of the txns of a TxnsRequest."""
    return f"{message_id}.{number}"


class RevisionReply(Record, frozen=True, array_like=True, gc=False):
    revision: int
    compact_revision: int = 0


class RevisionRequest(Request, frozen=True, array_like=True, gc=False):
    """The current revision, linearizably: the barrier of a read that a watch cache answers."""

    method: ClassVar[str] = "state.revision"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = RevisionReply


class CompactRequest(Request, frozen=True, array_like=True, gc=False):
    """Forget what was superseded at or before `revision`."""

    method: ClassVar[str] = "state.compact"
    roles: ClassVar[frozenset[str]] = WRITERS
    reply: ClassVar[type[Record]] = RevisionReply

    revision: int


class Event(Record, frozen=True, array_like=True, gc=False):
    """A change. A delete carries the key and its revision in `kv`, with an empty value and version 0."""

    kv: KeyValue
    deleted: bool = False
    prev_kv: KeyValue | None = None


class WatchBatch(Record, frozen=True, array_like=True, gc=False):
    """All that happened up to and including `revision` since the batch before; no events: progress only.

    Events of one revision never span two batches.
    """

    revision: int
    events: list[Event]


class WatchRequest(Request, frozen=True, array_like=True, gc=False):
    """Every change of a range from `start_revision` on (0: from now), once and in order.

    Ends with COMPACTED when the start is gone. An idle watch gets a progress batch every `progress_ms` (0: never),
    and always one at its start.
    """

    method: ClassVar[str] = "state.watch"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = WatchBatch
    stream: ClassVar[bool] = True

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    progress_ms: int = 0


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
