"""What a leader knows of one other member, and how it sends to it.

PROBE      where the logs agree is not known: one message, then wait for its answer or the next heartbeat
REPLICATE  known: entries are sent ahead of their answers, up to a window
SNAPSHOT   the entries it needs are compacted: nothing is sent until the snapshot is there, or failed
"""

import enum
from collections import deque

WINDOW_MESSAGES = 256  # under way to one member; more wait for answers
WINDOW_BYTES = 8 << 20  # of entries under way to one member


class Mode(enum.Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    def __init__(self, next_index: int):
        self.match = 0  # the highest entry known to be on its disk
        self.next = next_index  # the next to send
        self.mode = Mode.PROBE
        self.is_heard = False  # since the last look
        self.was_heard = False  # between that look and the one before, or when it voted for this leader
        self.round = 0  # the latest round that it answered
        self.snapshot_index = 0
        self._waits = False
        self._under_way: deque[tuple[int, int]] = deque()  # (last index, bytes) of each message
        self._under_way_bytes = 0

    @property
    def is_active(self) -> bool:
        """Whether it was heard from of late; a look alone, with its next answer still to come, silences nobody."""
        return self.is_heard or self.was_heard

    def look(self) -> bool:
        """Begin a new time of listening; return whether it was heard from in the one that ends."""
        self.was_heard, self.is_heard = self.is_heard, False
        return self.was_heard

    @property
    def may_send(self) -> bool:
        """Whether a message with entries may go out now."""
        if self.mode is Mode.PROBE:
            return not self._waits
        if self.mode is Mode.SNAPSHOT:
            return False
        return len(self._under_way) < WINDOW_MESSAGES and self._under_way_bytes < WINDOW_BYTES

    def sent(self, last_index: int, size_bytes: int) -> None:
        """A message with entries up to `last_index` went out."""
        if self.mode is Mode.PROBE:
            self._waits = True
            return
        self._under_way.append((last_index, size_bytes))
        self._under_way_bytes += size_bytes
        self.next = last_index + 1

    def agreed(self, index: int) -> bool:
        """It has everything up to `index`; return whether that is news."""
        while self._under_way and self._under_way[0][0] <= index:
            self._under_way_bytes -= self._under_way.popleft()[1]
        self.next = max(self.next, index + 1)
        if self.mode is Mode.PROBE or (self.mode is Mode.SNAPSHOT and index >= self.snapshot_index):
            self._become(Mode.REPLICATE)
            self.next = index + 1
        if index <= self.match:
            return False
        self.match = index
        return True

    def refused(self, index: int, try_index: int) -> bool:
        """Its log did not agree at `index`; return False for an answer that is out of date."""
        if index <= self.match or (self.mode is Mode.PROBE and index != self.next - 1):
            return False
        if self.mode is Mode.SNAPSHOT:
            return False
        self.probe()
        self.next = max(self.match + 1, min(index, try_index + 1))
        return True

    def probe(self) -> None:
        """Find out anew where the logs agree: a message was lost, or a snapshot failed."""
        next_index = self.match + 1
        if self.mode is Mode.SNAPSHOT:
            next_index = max(next_index, self.snapshot_index + 1)
        self._become(Mode.PROBE)
        self.next = next_index

    def lost(self) -> None:
        """What is under way may never arrive."""
        if self.mode is Mode.REPLICATE:
            self.probe()

    def send_snapshot(self, index: int) -> None:
        self._become(Mode.SNAPSHOT)
        self.snapshot_index = index

    def snapshot_failed(self) -> None:
        self.snapshot_index = 0
        self._become(Mode.PROBE)
        self.next = self.match + 1

    def beat(self) -> None:
        """A heartbeat is due: a probe may be tried again."""
        self._waits = False

    def _become(self, mode: Mode) -> None:
        self.mode = mode
        self._waits = False
        self._under_way.clear()
        self._under_way_bytes = 0
