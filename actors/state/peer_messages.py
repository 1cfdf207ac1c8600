"""What members say to each other: a stream of Raft messages from each to each, and the state as a snapshot.

A member opens a feed at every other one and gets what that one has for it, in order, held back by credit. So there is
no answer to each batch, and a broken connection shows on both sides at once.

Sender and receiver: members of one group.
"""

from typing import ClassVar

from actors.state.raft.records import Message
from bus.record import Empty, Record, Request

PEERS = frozenset({"state"})


class RaftBatch(Record, frozen=True, array_like=True, gc=False):
    """Messages from the member that was asked to the one that asks. The first batch is empty, and comes at once."""

    cluster_id: str
    messages: list[Message]
    birth: str = ""  # of the member that was asked; in the first batch


class RaftFeedRequest(Request, frozen=True, array_like=True, gc=False):
    """WRONG_CLUSTER for another cluster's member; an empty id is that of a member that was added and begins. LOST_DATA
    for one that was known with another `birth`."""

    method: ClassVar[str] = "state.raft_feed"
    roles: ClassVar[frozenset[str]] = PEERS
    reply: ClassVar[type[Record]] = RaftBatch
    stream: ClassVar[bool] = True

    cluster_id: str
    birth: str = ""


class FoundingRequest(Request, frozen=True, array_like=True, gc=False):
    """A founder that is new asks another one whether it is of the same group. WRONG_CLUSTER when it is not."""

    method: ClassVar[str] = "state.founding"
    roles: ClassVar[frozenset[str]] = PEERS
    reply: ClassVar[type[Record]] = Empty

    cluster_id: str


class SnapshotChunk(Record, frozen=True, array_like=True, gc=False):
    data: bytes


class SnapshotRequest(Request, frozen=True, array_like=True, gc=False):
    """Everything that is applied, as chunks of an image; the snapshot that the leader has offered, or a newer one."""

    method: ClassVar[str] = "state.snapshot"
    roles: ClassVar[frozenset[str]] = PEERS
    reply: ClassVar[type[Record]] = SnapshotChunk
    stream: ClassVar[bool] = True

    cluster_id: str
