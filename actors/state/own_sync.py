"""Whether a write is put on disk in the loop's own thread, which spares it two waits for a thread to wake.

Those two cost a put alone a tenth of its time on an idle machine, and more than its sync on a busy one. While the loop
syncs it does nothing else. So only a group of one does that, which owes nobody a sign of life; only for a few writes
that no others wait beside; and only while the disk is quick. When that hangs all of a sudden, whatever comes next waits
with the write, reads too, until the disk goes on; then writes go to the disk's thread until it has been quick for a
while.

Neighbours: `storing` asks before it hands a write to `disk_thread`.
"""

FEW_ENTRIES = 8  # with more there is more to do meanwhile than two wakes cost
SMALL_BYTES = 32 << 10  # of an entry
QUICK_S = 0.004  # a sync of a disk that the loop may wait for: longer than one takes on a busy machine
QUICK_IN_A_ROW = 16  # syncs before the loop waits for the next


class OwnSync:
    """Knows how the last syncs went."""

    def __init__(self) -> None:
        self._quick = 0

    def took(self, seconds: float) -> None:
        """A sync is done, wherever."""
        self._quick = self._quick + 1 if seconds < QUICK_S else 0

    def is_worth(self, sizes_bytes: list[int], waiting: int) -> bool:
        """Whether to sync entries of these sizes here, while so many commands have no answer."""
        if self._quick < QUICK_IN_A_ROW or waiting != len(sizes_bytes) or waiting > FEW_ENTRIES:
            return False
        return max(sizes_bytes, default=SMALL_BYTES) < SMALL_BYTES
