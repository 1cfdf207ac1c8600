"""A refusal in etcd's words, and how the state's own refusals become one.

Neighbours: `translate` and the services raise it; `front` answers with it.
"""

from grpc import StatusCode

from actors.api.etcd import faults
from actors.state import messages as m
from bus.errors import BusError, DeadlineExceeded, Overloaded, RemoteError, Unavailable


class EtcdFault(Exception):
    """A request that is answered with a status."""

    def __init__(self, fault: faults.Fault):
        super().__init__(fault[1])
        self.code, self.text = fault


def fault_of(error: BusError) -> EtcdFault:
    """Return what an etcd client is told of an error."""
    match error:
        case RemoteError(kind=kind) if kind in faults.BY_KIND:
            return EtcdFault(faults.BY_KIND[kind])
        case RemoteError(kind=m.INVALID):
            return EtcdFault((StatusCode.INVALID_ARGUMENT, f"etcdserver: {error.message}"))
        case RemoteError():
            return EtcdFault((StatusCode.FAILED_PRECONDITION, f"etcdserver: {error.message}"))
        case Overloaded():
            return EtcdFault(faults.TOO_MANY_REQUESTS)
        case DeadlineExceeded():
            return EtcdFault(faults.TIMED_OUT)
        case Unavailable():
            return EtcdFault(faults.LEADER_CHANGED)
    return EtcdFault((StatusCode.UNKNOWN, f"etcdserver: {error.message}"))
