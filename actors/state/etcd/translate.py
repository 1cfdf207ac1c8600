"""etcd's messages to the state's, and results back. Pure.

What etcd offers beyond the state's own words is made of them: a range that is filtered by revisions is read whole and
filtered here, before its limit counts. Raises EtcdFault for what etcd refuses before it looks at the store.

Neighbours: `key_value` and `watching` use it; `actors.state.messages` is the other side.
"""

from collections.abc import Iterable, Sequence

from actors.api.etcd import faults
from actors.api.etcd.proto import kv_pb2, rpc_pb2
from actors.state import messages as m
from actors.state.etcd.fault import EtcdFault

_SORT_TARGETS = {
    rpc_pb2.RangeRequest.KEY: "key",
    rpc_pb2.RangeRequest.VERSION: "version",
    rpc_pb2.RangeRequest.CREATE: "create",
    rpc_pb2.RangeRequest.MOD: "mod",
    rpc_pb2.RangeRequest.VALUE: "value",
}
_COMPARE_TARGETS = {
    rpc_pb2.Compare.VERSION: ("version", "version"),
    rpc_pb2.Compare.CREATE: ("create", "create_revision"),
    rpc_pb2.Compare.MOD: ("mod", "mod_revision"),
    rpc_pb2.Compare.VALUE: ("value", "value"),
    rpc_pb2.Compare.LEASE: ("lease", "lease"),
}
_COMPARE_RESULTS = {
    rpc_pb2.Compare.EQUAL: "=",
    rpc_pb2.Compare.GREATER: ">",
    rpc_pb2.Compare.LESS: "<",
    rpc_pb2.Compare.NOT_EQUAL: "!=",
}
MAX_NESTING = 32  # of txns in txns; more than that only an attack sends


def kv_to(kv: m.KeyValue) -> kv_pb2.KeyValue:
    return kv_pb2.KeyValue(
        key=kv.key,
        value=kv.value,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        lease=kv.lease,
    )


def event_to(event: m.Event) -> kv_pb2.Event:
    kind = kv_pb2.Event.DELETE if event.deleted else kv_pb2.Event.PUT
    previous = kv_to(event.prev_kv) if event.prev_kv is not None else None
    return kv_pb2.Event(type=kind, kv=kv_to(event.kv), prev_kv=previous)


# Requests


def range_of(request: rpc_pb2.RangeRequest) -> m.Range:
    if not request.key:
        raise EtcdFault(faults.EMPTY_KEY)
    return m.Range(
        request.key,
        request.range_end,
        limit=0 if _is_filtered(request) else max(0, request.limit),
        revision=max(0, request.revision),
        keys_only=request.keys_only,
        count_only=request.count_only,
        sort_target=_known(_SORT_TARGETS, request.sort_target),
        descending=request.sort_order == rpc_pb2.RangeRequest.DESCEND,
    )


def put_of(request: rpc_pb2.PutRequest) -> m.Put:
    if not request.key:
        raise EtcdFault(faults.EMPTY_KEY)
    if request.ignore_value and request.value:
        raise EtcdFault(faults.VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise EtcdFault(faults.LEASE_PROVIDED)
    return m.Put(request.key, request.value, request.lease, request.prev_kv, request.ignore_value, request.ignore_lease)


def delete_of(request: rpc_pb2.DeleteRangeRequest) -> m.DeleteRange:
    if not request.key:
        raise EtcdFault(faults.EMPTY_KEY)
    return m.DeleteRange(request.key, request.range_end, request.prev_kv)


def txn_of(request: rpc_pb2.TxnRequest, depth: int = 0) -> m.Txn:
    if depth > MAX_NESTING:
        raise EtcdFault(faults.BY_KIND[m.TOO_MANY_OPERATIONS])
    return m.Txn(
        [_compare_of(each) for each in request.compare],
        [_operation_of(each, depth) for each in request.success],
        [_operation_of(each, depth) for each in request.failure],
    )


def _operation_of(request: rpc_pb2.RequestOp, depth: int) -> m.Operation:
    match request.WhichOneof("request"):
        case "request_range":
            return range_of(request.request_range)
        case "request_put":
            return put_of(request.request_put)
        case "request_delete_range":
            return delete_of(request.request_delete_range)
        case "request_txn":
            return txn_of(request.request_txn, depth + 1)
    raise EtcdFault(faults.EMPTY_KEY)  # what etcd says of an operation that is none


def _compare_of(request: rpc_pb2.Compare) -> m.Compare:
    if not request.key:
        raise EtcdFault(faults.EMPTY_KEY)
    target, field = _known(_COMPARE_TARGETS, request.target)
    operand = getattr(request, field)  # zero, or no bytes, where the union holds another field
    return m.Compare(request.key, target, _known(_COMPARE_RESULTS, request.result), operand, request.range_end)


def _known(table: dict, value: int):
    try:
        return table[value]
    except KeyError:
        raise EtcdFault(faults.UNKNOWN_OPTION) from None


# Results


def range_to(result: m.RangeResult, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
    kvs, more = result.kvs, result.more
    if _is_filtered(request):
        kvs, more = [kv for kv in kvs if _passes(kv, request)], False
        if 0 < request.limit < len(kvs):
            kvs, more = kvs[: request.limit], True
    return rpc_pb2.RangeResponse(kvs=map(kv_to, kvs), more=more and not request.count_only, count=result.count)


def put_to(result: m.PutResult) -> rpc_pb2.PutResponse:
    return rpc_pb2.PutResponse(prev_kv=kv_to(result.prev_kv) if result.prev_kv is not None else None)


def delete_to(result: m.DeleteRangeResult) -> rpc_pb2.DeleteRangeResponse:
    return rpc_pb2.DeleteRangeResponse(deleted=result.deleted, prev_kvs=map(kv_to, result.prev_kvs))


def txn_to(result: m.TxnResult, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
    asked = request.success if result.succeeded else request.failure
    return rpc_pb2.TxnResponse(succeeded=result.succeeded, responses=_responses(result.responses, asked))


def _responses(results: Sequence[m.Result], asked: Sequence[rpc_pb2.RequestOp]) -> Iterable[rpc_pb2.ResponseOp]:
    for result, request in zip(results, asked, strict=True):
        match result:
            case m.RangeResult():
                yield rpc_pb2.ResponseOp(response_range=range_to(result, request.request_range))
            case m.PutResult():
                yield rpc_pb2.ResponseOp(response_put=put_to(result))
            case m.DeleteRangeResult():
                yield rpc_pb2.ResponseOp(response_delete_range=delete_to(result))
            case m.TxnResult():
                yield rpc_pb2.ResponseOp(response_txn=txn_to(result, request.request_txn))


def _is_filtered(request: rpc_pb2.RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _passes(kv: m.KeyValue, request: rpc_pb2.RangeRequest) -> bool:
    return (
        (not request.min_mod_revision or kv.mod_revision >= request.min_mod_revision)
        and (not request.max_mod_revision or kv.mod_revision <= request.max_mod_revision)
        and (not request.min_create_revision or kv.create_revision >= request.min_create_revision)
        and (not request.max_create_revision or kv.create_revision <= request.max_create_revision)
    )
