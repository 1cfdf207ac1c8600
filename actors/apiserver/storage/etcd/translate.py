"""The state's words to etcd's messages, and its responses back. Pure.

Neighbours: `client` and `watching` use it; `actors.state.etcd.translate` is the way in the other direction.
"""

from collections.abc import Sequence

from actors.api.etcd.proto import kv_pb2, rpc_pb2
from actors.state.messages import (
    Compare,
    DeleteRange,
    DeleteRangeResult,
    Event,
    KeyValue,
    Operation,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    Txn,
    TxnResult,
)

_SORT_TARGETS = {
    "key": rpc_pb2.RangeRequest.KEY,
    "version": rpc_pb2.RangeRequest.VERSION,
    "create": rpc_pb2.RangeRequest.CREATE,
    "mod": rpc_pb2.RangeRequest.MOD,
    "value": rpc_pb2.RangeRequest.VALUE,
}
_COMPARES = {
    "version": (rpc_pb2.Compare.VERSION, "version"),
    "create": (rpc_pb2.Compare.CREATE, "create_revision"),
    "mod": (rpc_pb2.Compare.MOD, "mod_revision"),
    "value": (rpc_pb2.Compare.VALUE, "value"),
    "lease": (rpc_pb2.Compare.LEASE, "lease"),
}
_COMPARE_RESULTS = {
    "=": rpc_pb2.Compare.EQUAL,
    "!=": rpc_pb2.Compare.NOT_EQUAL,
    "<": rpc_pb2.Compare.LESS,
    ">": rpc_pb2.Compare.GREATER,
}


def range_to(wanted: Range) -> rpc_pb2.RangeRequest:
    order = rpc_pb2.RangeRequest.DESCEND if wanted.descending else rpc_pb2.RangeRequest.NONE
    return rpc_pb2.RangeRequest(
        key=wanted.key,
        range_end=wanted.range_end,
        limit=wanted.limit,
        revision=wanted.revision,
        keys_only=wanted.keys_only,
        count_only=wanted.count_only,
        sort_target=_SORT_TARGETS[wanted.sort_target],
        sort_order=order,
    )


def txn_to(txn: Txn) -> rpc_pb2.TxnRequest:
    return rpc_pb2.TxnRequest(
        compare=map(_compare_to, txn.compare),
        success=map(_operation_to, txn.success),
        failure=map(_operation_to, txn.failure),
    )


def _compare_to(compare: Compare) -> rpc_pb2.Compare:
    target, field = _COMPARES[compare.target]
    made = rpc_pb2.Compare(
        key=compare.key, target=target, result=_COMPARE_RESULTS[compare.result], range_end=compare.range_end
    )
    setattr(made, field, compare.operand)
    return made


def _operation_to(operation: Operation) -> rpc_pb2.RequestOp:
    match operation:
        case Range():
            return rpc_pb2.RequestOp(request_range=range_to(operation))
        case Put():
            put = rpc_pb2.PutRequest(
                key=operation.key,
                value=operation.value,
                lease=operation.lease,
                prev_kv=operation.prev_kv,
                ignore_value=operation.ignore_value,
                ignore_lease=operation.ignore_lease,
            )
            return rpc_pb2.RequestOp(request_put=put)
        case DeleteRange():
            delete = rpc_pb2.DeleteRangeRequest(
                key=operation.key, range_end=operation.range_end, prev_kv=operation.prev_kv
            )
            return rpc_pb2.RequestOp(request_delete_range=delete)
    return rpc_pb2.RequestOp(request_txn=txn_to(operation))


def kv_of(kv: kv_pb2.KeyValue) -> KeyValue:
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def range_of(response: rpc_pb2.RangeResponse) -> RangeResult:
    return RangeResult([kv_of(kv) for kv in response.kvs], response.count, response.more)


def txn_of(response: rpc_pb2.TxnResponse) -> TxnResult:
    return TxnResult(response.succeeded, _results_of(response.responses))


def _results_of(responses: Sequence[rpc_pb2.ResponseOp]) -> list[Result]:
    return [_result_of(response) for response in responses]


def _result_of(response: rpc_pb2.ResponseOp) -> Result:
    match response.WhichOneof("response"):
        case "response_put":
            put = response.response_put
            return PutResult(kv_of(put.prev_kv) if put.HasField("prev_kv") else None)
        case "response_delete_range":
            delete = response.response_delete_range
            return DeleteRangeResult(delete.deleted, [kv_of(kv) for kv in delete.prev_kvs])
        case "response_txn":
            return txn_of(response.response_txn)
    return range_of(response.response_range)


def event_of(event: kv_pb2.Event) -> Event:
    previous = kv_of(event.prev_kv) if event.HasField("prev_kv") else None
    return Event(kv_of(event.kv), event.type == kv_pb2.Event.DELETE, previous)
