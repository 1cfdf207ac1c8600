"""The state actor's refusals, in etcd's words: constructors of `RemoteError`, one for each kind in `messages.ERRORS`.

A refusal is the caller's fault (or the disk's, for NO_SPACE); it crosses the wire as it is. What is nobody's fault but
the program's is an assertion or `DiskFailed`, and ends the process.
"""

from typing import Any

from actors.state import messages as m
from bus.errors import RemoteError


def _refusal(kind: str, message: str, detail: Any = None) -> RemoteError:
    return RemoteError(message, detail, kind=kind)


def compacted(wanted: int, compact_revision: int) -> RemoteError:
    return _refusal(
        m.COMPACTED,
        f"required revision {wanted} has been compacted; the oldest that can be read is {compact_revision}",
        {"compact_revision": compact_revision},
    )


def future_revision(wanted: int, revision: int) -> RemoteError:
    return _refusal(m.FUTURE_REVISION, f"required revision {wanted} is a future revision; the store is at {revision}")


def key_not_found(key: bytes) -> RemoteError:
    return _refusal(m.KEY_NOT_FOUND, f"key not found: {key!r}")


def lease_not_found(lease: int) -> RemoteError:
    return _refusal(m.LEASE_NOT_FOUND, f"requested lease {lease} not found")


def lease_exists(lease: int) -> RemoteError:
    return _refusal(m.LEASE_EXISTS, f"lease {lease} already exists")


def too_many_operations(count: int) -> RemoteError:
    return _refusal(
        m.TOO_MANY_OPERATIONS, f"too many operations in txn request: {count}, at most {m.MAX_TXN_OPERATIONS}"
    )


def request_too_large(size_bytes: int) -> RemoteError:
    return _refusal(m.REQUEST_TOO_LARGE, f"request is too large: {size_bytes} bytes, at most {m.MAX_REQUEST_BYTES}")


def reply_too_large(what: str, most_bytes: int) -> RemoteError:
    return _refusal(
        m.REQUEST_TOO_LARGE, f"the answer is too large: {what} exceed {most_bytes} bytes; read less at once"
    )


def duplicate_key(key: bytes) -> RemoteError:
    return _refusal(m.DUPLICATE_KEY, f"duplicate key given in txn request: {key!r} is written twice")


def no_space(reason: str) -> RemoteError:
    return _refusal(m.NO_SPACE, f"no space: writes are refused until there is room again ({reason})")


def not_leader(leader: str) -> RemoteError:
    return _refusal(
        m.NOT_LEADER, f"not the leader; the leader is {leader or 'not known at the moment'}", {"leader": leader}
    )


def unknown_outcome() -> RemoteError:
    return _refusal(
        m.UNKNOWN_OUTCOME,
        "this request repeats one that may have been done; it is too long ago to tell, so it was not done",
    )


def wrong_cluster(found: str, own: str) -> RemoteError:
    return _refusal(m.WRONG_CLUSTER, f"cluster ID mismatch: this member belongs to {own}, not to {found}")


def lost_data(name: str) -> RemoteError:
    return _refusal(
        m.LOST_DATA,
        f"{name} has lost its data: the group knows it with another data directory, and lets it neither vote nor lead."
        f" Remove it from the group and add it again (kubus member remove {name}; kubus member add {name}), or bring"
        " its directory back. Where a majority has lost its data, restore a snapshot",
    )


def member_not_found(name: str) -> RemoteError:
    return _refusal(m.MEMBER_NOT_FOUND, f"member not found: {name}")


def unhealthy(message: str) -> RemoteError:
    return _refusal(m.UNHEALTHY, message)


def invalid(message: str) -> RemoteError:
    return _refusal(m.INVALID, message)
