"""etcd's errors: the status code and the very words that its clients look for, by the state's own kind of refusal.

A client tells "compacted" from any other OUT_OF_RANGE by the text alone, so the texts are part of the API.

Neighbours: `actors.state.etcd` answers with them; the API server's etcd driver reads them.
"""

from grpc import StatusCode

import actors.state.messages as m

Fault = tuple[StatusCode, str]

_INVALID, _RANGE = StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE
_PRECONDITION, _UNAVAILABLE = StatusCode.FAILED_PRECONDITION, StatusCode.UNAVAILABLE

EMPTY_KEY: Fault = (_INVALID, "etcdserver: key is not provided")
VALUE_PROVIDED: Fault = (_INVALID, "etcdserver: value is provided")
LEASE_PROVIDED: Fault = (_INVALID, "etcdserver: lease is provided")
LEASE_TTL_TOO_LARGE: Fault = (_RANGE, "etcdserver: too large lease TTL")
BAD_MEMBER_URLS: Fault = (_INVALID, "etcdserver: given member URLs are invalid")
NOT_A_LEARNER: Fault = (_PRECONDITION, "etcdserver: can only promote a learner member")
MEMBER_NOT_FOUND: Fault = (StatusCode.NOT_FOUND, "etcdserver: member not found")
BAD_TRANSFEREE: Fault = (_PRECONDITION, "etcdserver: bad leader transferee")
UNKNOWN_OPTION: Fault = (_INVALID, "etcdserver: invalid sort option")
AUTH_NOT_ENABLED: Fault = (_PRECONDITION, "etcdserver: authentication is not enabled")
NO_LEADER: Fault = (_UNAVAILABLE, "etcdserver: no leader")
NOT_LEADER: Fault = (_PRECONDITION, "etcdserver: not leader")
STOPPED: Fault = (_UNAVAILABLE, "etcdserver: server stopped")
TIMED_OUT: Fault = (_UNAVAILABLE, "etcdserver: request timed out")
LEADER_CHANGED: Fault = (_UNAVAILABLE, "etcdserver: leader changed")
TOO_MANY_REQUESTS: Fault = (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests")
COMPACTED: Fault = (_RANGE, "etcdserver: mvcc: required revision has been compacted")

BY_KIND: dict[str, Fault] = {
    m.COMPACTED: COMPACTED,
    m.FUTURE_REVISION: (_RANGE, "etcdserver: mvcc: required revision is a future revision"),
    m.KEY_NOT_FOUND: (_INVALID, "etcdserver: key not found"),
    m.LEASE_NOT_FOUND: (StatusCode.NOT_FOUND, "etcdserver: requested lease not found"),
    m.LEASE_EXISTS: (_PRECONDITION, "etcdserver: lease already exists"),
    m.TOO_MANY_OPERATIONS: (_INVALID, "etcdserver: too many operations in txn request"),
    m.REQUEST_TOO_LARGE: (_INVALID, "etcdserver: request is too large"),
    m.DUPLICATE_KEY: (_INVALID, "etcdserver: duplicate key given in txn request"),
    m.NO_SPACE: (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    m.NOT_LEADER: NO_LEADER,  # asked of all, and nobody leads
    m.UNKNOWN_OUTCOME: TIMED_OUT,
    m.MEMBER_NOT_FOUND: MEMBER_NOT_FOUND,
}
KIND_OF = {text: kind for kind, (_, text) in BY_KIND.items() if kind not in (m.NOT_LEADER, m.UNKNOWN_OUTCOME)}
