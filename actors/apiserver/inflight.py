"""How many requests are in the server, worked on or waiting: beyond what its memory is good for, 429.

Who is worked on first among those is for `fairness` to say; this bound holds for the exempt too. Watches and other
streams are counted apart, for they stay.

Neighbours: `handler`.
"""

from actors.api import errors

MAX_REQUESTS = 8_000  # reads, and as many writes: each costs some 20 KB and its body
MAX_STREAMS = 20_000  # watches and logs; each costs a socket and some KB
RETRY_AFTER_S = 1


class InFlight:
    """Counts. `rejected` is for the metrics."""

    def __init__(self) -> None:
        self.reads = 0
        self.writes = 0
        self.streams = 0
        self.rejected = 0

    def admit(self, is_read: bool) -> None:
        if is_read:
            if self.reads >= MAX_REQUESTS:
                raise self._reject()
            self.reads += 1
        else:
            if self.writes >= MAX_REQUESTS:
                raise self._reject()
            self.writes += 1

    def leave(self, is_read: bool) -> None:
        if is_read:
            self.reads -= 1
        else:
            self.writes -= 1

    def admit_stream(self) -> None:
        if self.streams >= MAX_STREAMS:
            raise self._reject()
        self.streams += 1

    def _reject(self) -> errors.ApiError:
        self.rejected += 1
        return errors.too_many_requests("Too many requests, please try again later.", RETRY_AFTER_S)
