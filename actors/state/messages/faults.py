"""The kinds of errors that a state actor answers with, and the limits whose excess is one."""

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
