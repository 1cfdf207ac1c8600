"""How many requests are worked on at a time: beyond it, 429 with a hint when to come back.

Watches and followed logs are counted apart, for they stay. system:masters are let in a little longer than others, so
that an administrator gets through to an overloaded server.

Neighbours: `handler`.
"""

from actors.api import errors
from actors.apiserver.call import Identity

MAX_READS = 400  # Kubernetes' --max-requests-inflight
MAX_WRITES = (
    800  # four times Kubernetes' --max-mutating-requests-inflight: a write here waits for a disk, not for a CPU
)
MAX_STREAMS = 20_000  # watches and logs; each costs a socket and some KB
MASTERS_EXTRA = 100  # on top, for system:masters
RETRY_AFTER_S = 1


class InFlight:
    """Counts. `rejected` is for the metrics."""

    def __init__(self) -> None:
        self.reads = 0
        self.writes = 0
        self.streams = 0
        self.rejected = 0

    def admit_read(self, identity: Identity) -> None:
        if self.reads >= MAX_READS and self.reads >= MAX_READS + (MASTERS_EXTRA if identity.is_master else 0):
            raise self._reject()
        self.reads += 1

    def admit_write(self, identity: Identity) -> None:
        if self.writes >= MAX_WRITES and self.writes >= MAX_WRITES + (MASTERS_EXTRA if identity.is_master else 0):
            raise self._reject()
        self.writes += 1

    def admit_stream(self) -> None:
        if self.streams >= MAX_STREAMS:
            raise self._reject()
        self.streams += 1

    def _reject(self) -> errors.ApiError:
        self.rejected += 1
        return errors.too_many_requests("Too many requests, please try again later.", RETRY_AFTER_S)
