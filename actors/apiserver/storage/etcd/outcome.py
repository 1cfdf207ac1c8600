"""What an error of etcd means: a refusal, something that is over soon, or a write of which nobody knows.

Neighbours: `client` and `watching` decide by it.
"""

from grpc import StatusCode
from grpc.aio import AioRpcError

from actors.api.etcd.faults import KIND_OF, NO_LEADER, NOT_LEADER, TOO_MANY_REQUESTS
from actors.state.messages import INVALID, REQUEST_TOO_LARGE
from bus import BusError, DeadlineExceeded, RemoteError, Unavailable

# Said before anything was proposed: the request has not been done and will not be.
NOT_DONE = frozenset(
    {
        NO_LEADER[1],
        NOT_LEADER[1],
        TOO_MANY_REQUESTS[1],
        "etcdserver: not capable",
        "etcdserver: rpc not supported for learner",
    }
)
_REFUSALS = frozenset(
    {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.OUT_OF_RANGE,
        StatusCode.NOT_FOUND,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.DATA_LOSS,
    }
)


def refusal_of(error: AioRpcError) -> RemoteError | None:
    """Return etcd's no; None when it is no answer, or one that another attempt may change."""
    text = error.details() or ""
    if error.code() is StatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:  # by gRPC, before etcd saw it
        return RemoteError(text, kind=REQUEST_TOO_LARGE)
    if text in KIND_OF:
        return RemoteError(text, kind=KIND_OF[text])
    if text not in NOT_DONE and error.code() in _REFUSALS:
        return RemoteError(text, kind=INVALID)
    return None


def was_not_done(error: AioRpcError) -> bool:
    return (error.details() or "") in NOT_DONE


def failure_of(error: AioRpcError) -> BusError:
    """Return what to tell of a read that had no answer."""
    text = f"etcd: {error.details() or error.code().name}"
    return DeadlineExceeded(text) if error.code() is StatusCode.DEADLINE_EXCEEDED else Unavailable(text)


def unknown_of(error: AioRpcError) -> BusError:
    """Return what to tell of a write that had no answer."""
    return DeadlineExceeded(f"etcd: {error.details() or error.code().name}; the write may have been done")
