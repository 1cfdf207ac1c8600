"""Keys and values: what is read and written, alone and in txns.

Keys and values are bytes. A `range_end` follows etcd: empty means the single key, b"\\0" means everything from the key
on, otherwise the half-open range [key, range_end).
"""

from typing import Any, ClassVar

from actors.state.messages.senders import READERS, WRITERS
from bus.record import Record, Request


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
