"""Who answers: etcd's numbers for a cluster and its members, made from their names, and the header of each response.

Neighbours: all services put it into their responses; `members` needs the numbers.
"""

import hashlib

from actors.api.etcd.proto import rpc_pb2
from actors.state.service import Service


def id_of(name: str) -> int:
    """Return the number of a member, the same at every member."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) or 1


class Headers:
    """Headers of one member's responses."""

    def __init__(self, service: Service):
        self._service = service
        self.member_id = id_of(service.member)

    @property
    def cluster_id(self) -> int:
        return int(self._service.committer.storage.group.cluster_id or "0", 16)

    def now(self, revision: int | None = None) -> rpc_pb2.ResponseHeader:
        """Return the header of a response at a revision; None: the member's own."""
        return rpc_pb2.ResponseHeader(
            cluster_id=self.cluster_id,
            member_id=self.member_id,
            revision=self._service.store.revision if revision is None else revision,
            raft_term=self._service.committer.core.node.term,
        )
