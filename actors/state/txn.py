"""Transactions: compare, then read and write, all under one revision.

Three steps, so that a transaction happens whole or not at all. `check` refuses what no store could run; it needs no
store and is done before the transaction is proposed. `run` first decides: all compares, of nested transactions too,
look at the store as it was before the transaction; then refuses what the store at this point of the log cannot do (a
lease that is gone, a revision that is compacted); then executes, which cannot fail.

Within a transaction a read sees the writes before it. A key is written once at most: two puts, or a put and a delete
that covers it, are refused, as in etcd.

Neighbours: `store` does the reading and writing; `machine` applies logged transactions.
"""

import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.state import errors
from actors.state.messages import (
    MAX_TXN_OPERATIONS,
    Compare,
    DeleteRange,
    DeleteRangeResult,
    KeyValue,
    Operation,
    Put,
    PutResult,
    Range,
    Result,
    Txn,
    TxnResult,
)
from actors.state.store import SORT_TARGETS, Bounds, Store, bounds_of, within

_FIELDS: dict[str, Callable[[KeyValue], int | bytes]] = {
    "value": operator.attrgetter("value"),
    "version": operator.attrgetter("version"),
    "create": operator.attrgetter("create_revision"),
    "mod": operator.attrgetter("mod_revision"),
    "lease": operator.attrgetter("lease"),
}
_RESULTS: dict[str, Callable[[int | bytes, int | bytes], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_MISSING = KeyValue(b"", b"", 0, 0, 0)
_PUT = PutResult(None)


# Checking, without a store


def check(txn: Txn) -> None:
    """Refuse a transaction that cannot be run on any store."""
    _check_counts(txn, MAX_TXN_OPERATIONS)
    _check_fields(txn)
    for branch in (txn.success, txn.failure):
        if len(branch) > 1:
            _writes_of(branch)
        elif branch and isinstance(branch[0], Txn):
            check(branch[0])


def is_read_only(txn: Txn) -> bool:
    """Tell whether no branch of a transaction writes: then it needs no log."""
    for branch in (txn.success, txn.failure):
        for each in branch:
            if type(each) is not Range and not (type(each) is Txn and is_read_only(each)):
                return False
    return True


def has_put(txn: Txn) -> bool:
    """Tell whether some branch of a transaction puts a key."""
    return any(
        isinstance(each, Put) or (isinstance(each, Txn) and has_put(each)) for each in (*txn.success, *txn.failure)
    )


def check_range(wanted: Range) -> None:
    """Refuse a malformed range."""
    if not wanted.key:
        raise errors.invalid("key is not provided")
    if wanted.sort_target not in SORT_TARGETS:
        raise errors.invalid(f"sort target must be one of {', '.join(sorted(SORT_TARGETS))}, not {wanted.sort_target}")
    if wanted.limit < 0 or wanted.revision < 0:
        raise errors.invalid(f"limit and revision must not be negative: {wanted.limit}, {wanted.revision}")


def _check_counts(txn: Txn, most: int) -> None:
    count = max(len(txn.compare), len(txn.success), len(txn.failure))
    if count > most:
        raise errors.too_many_operations(MAX_TXN_OPERATIONS - most + count)
    for branch in (txn.success, txn.failure):
        for each in branch:
            if type(each) is Txn:
                _check_counts(each, most - count)


def _check_fields(txn: Txn) -> None:
    for compare in txn.compare:
        _check_compare(compare)
    for branch in (txn.success, txn.failure):
        for each in branch:
            if isinstance(each, Txn):
                _check_fields(each)
            elif type(each) is Range:
                check_range(each)
            elif not each.key:
                raise errors.invalid("key is not provided")


def _check_compare(compare: Compare) -> None:
    if not compare.key:
        raise errors.invalid("key of a compare is not provided")
    if compare.target not in _FIELDS:
        raise errors.invalid(f"compare target must be one of {', '.join(_FIELDS)}, not {compare.target}")
    if compare.result not in _RESULTS:
        raise errors.invalid(f"compare result must be one of {' '.join(_RESULTS)}, not {compare.result}")
    if isinstance(compare.operand, bytes) != (compare.target == "value"):
        raise errors.invalid(f"a compare of {compare.target} cannot take {compare.operand!r}")


def _writes_of(operations: list[Operation]) -> tuple[set[bytes], list[Bounds]]:
    """Return the keys that a branch may put and the ranges it may delete; DUPLICATE_KEY when two of them meet."""
    puts: set[bytes] = set()
    deletes: list[Bounds] = []
    for each in operations:
        if isinstance(each, Put):
            _add_writes(puts, deletes, {each.key}, [])
        elif isinstance(each, DeleteRange):
            _add_writes(puts, deletes, set(), [_delete_bounds(each)])
        elif isinstance(each, Txn):
            # Only one of the branches runs, so they may write the same keys, but neither what stands beside the txn.
            then_puts, then_deletes = _writes_of(each.success)
            else_puts, else_deletes = _writes_of(each.failure)
            _add_writes(puts, deletes, then_puts | else_puts, then_deletes + else_deletes)
    return puts, deletes


def _add_writes(puts: set[bytes], deletes: list[Bounds], more_puts: set[bytes], more_deletes: list[Bounds]) -> None:
    for key in more_puts:
        if key in puts or any(within(key, bounds) for bounds in deletes):
            raise errors.duplicate_key(key)
    for bounds in more_deletes:
        for key in puts:
            if within(key, bounds):
                raise errors.duplicate_key(key)
    puts |= more_puts
    deletes += more_deletes


def _delete_bounds(delete: DeleteRange) -> Bounds:
    return bounds_of(delete.key, delete.range_end) if delete.range_end else (delete.key, delete.key + b"\0")


# Running, at one point of the log


# This runs for every write on every member: types are compared, not asked for, and nothing is built in vain.


class _Decided(NamedTuple):
    """A transaction with its compares done: the operations that will run, and those of nested transactions."""

    succeeded: bool
    operations: list[Operation]
    nested: "Sequence[_Decided]"


def run(store: Store, txn: Txn) -> TxnResult:
    """Run a checked transaction; the caller commits. A refusal leaves the store as it was."""
    decided = _decide(store, txn)
    _refuse(store, decided)
    return _execute(store, decided)


def _decide(store: Store, txn: Txn) -> _Decided:
    succeeded = True
    for compare in txn.compare:
        if not _holds(store, compare):
            succeeded = False
            break
    operations = txn.success if succeeded else txn.failure
    for each in operations:
        if type(each) is Txn:
            return _Decided(succeeded, operations, [_decide(store, each) for each in operations if type(each) is Txn])
    return _Decided(succeeded, operations, ())


def _refuse(store: Store, decided: _Decided) -> None:
    """Refuse what the store cannot do at this point of the log."""
    for each in decided.operations:
        if type(each) is Put:
            if each.lease and each.lease not in store.leases:
                raise errors.lease_not_found(each.lease)
            if (each.ignore_value or each.ignore_lease) and store.get(each.key) is None:
                raise errors.key_not_found(each.key)
        elif type(each) is Range:
            store.check_readable(each.revision)
    for nested in decided.nested:
        _refuse(store, nested)


def _holds(store: Store, compare: Compare) -> bool:
    """Tell whether a compare holds: for a range, whether it holds for every key in it."""
    if compare.range_end:
        found = [kv for key in store.keys_in(compare.key, compare.range_end) if (kv := store.get(key)) is not None]
        if found:
            return all(_compare(compare, kv) for kv in found)
    elif (kv := store.get(compare.key)) is not None:
        return _compare(compare, kv)
    # There is no value that a missing value equals, or is less or greater than.
    return compare.target != "value" and _compare(compare, _MISSING)


def _compare(compare: Compare, kv: KeyValue) -> bool:
    return _RESULTS[compare.result](_FIELDS[compare.target](kv), compare.operand)


def _execute(store: Store, decided: _Decided) -> TxnResult:
    nested = iter(decided.nested)
    responses: list[Result] = []
    for each in decided.operations:
        if type(each) is Put:
            old = _put(store, each)
            responses.append(PutResult(old) if each.prev_kv else _PUT)
        elif type(each) is Range:
            responses.append(store.range(each))
        elif type(each) is DeleteRange:
            old_kvs = [store.delete(key) for key in store.keys_in(each.key, each.range_end)]
            responses.append(DeleteRangeResult(len(old_kvs), old_kvs if each.prev_kv else []))
        else:
            responses.append(_execute(store, next(nested)))
    return TxnResult(decided.succeeded, responses)


def _put(store: Store, put: Put) -> KeyValue | None:
    if not (put.ignore_value or put.ignore_lease):
        return store.put(put.key, put.value, put.lease)
    kept = store.get(put.key)
    assert kept is not None, "it was there when the transaction was decided, and nothing else in it writes the key"
    return store.put(
        put.key, kept.value if put.ignore_value else put.value, kept.lease if put.ignore_lease else put.lease
    )
