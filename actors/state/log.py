"""The write-ahead log: entries that are on disk before anybody is told of them.

Append-only segment files. A batch, entries and the hard state, is one frame, written once and synced once. Nothing is
overwritten: a batch that begins at or before the last entry replaces the entries from there on. A segment begins with
the hard state, so that older ones can go. Segments are allocated whole when they begin, so that a full disk shows
there and syncs are cheap. `append` either leaves the batch on disk or raises: `NoSpace` when the disk is full, with the
log as it was before; any other OSError is a disk that failed, after which nothing this process believes about the file
is certain, so the actor must end and recover.

`open` reads what is there. An interrupted last write is cut off, and said so; damage in front of valid frames, and
gaps, are refused with `DataRefused`. Opening twice, or crashing while opening, gives the same.

Neighbours: `frames` is the layout; `disk` the files; `storage` joins the log with snapshots.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from actors.state import frames
from actors.state.damage import RESTORE, DataRefused, NewerFormat, NoSpace, cut_advice
from actors.state.disk import Disk, File, is_full
from actors.state.raft.records import Entry, HardState
from bus.record import Record

MAGIC = b"KUBUSLOG"
SUFFIX = ".log"
TEMPORARY = "segment.tmp"
PROBE_BYTES = 4 << 20  # room that the log makes sure of before it takes writes again: more than one batch


class Batch(Record, frozen=True, array_like=True, gc=False):
    """The payload of a frame. Logs of format 1 have no hard state: their group had one member."""

    entries: list[Entry]
    hard: HardState | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)


@dataclass(slots=True)
class Segment:
    """A file of the log. `last_index` is that of the last entry in it, whatever was replaced; 0: it holds none."""

    name: str
    head: frames.Head
    end: int  # offset behind its last frame
    next_sequence: int
    last_index: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """An interrupted write that `open` cut off."""

    file: str
    offset: int
    damaged_bytes: int


class Log:
    """The log of one member. Not thread-safe: one call at a time."""

    def __init__(self, disk: Disk, segment_bytes: int, segments: list[Segment]):
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._segments = segments
        self._reserved_bytes = 0
        self._is_tail_dirty = False  # a write failed half way, and its remains could not be removed yet
        self.last_index = next((segment.last_index for segment in reversed(segments) if segment.last_index), 0)
        self._hard: HardState | None = None  # the last that was written
        self.cut: Cut | None = None
        self.reading = ""  # the segment that `batches` is at, for those who must say where they stumbled
        self._file: File | None = None

    @property
    def size_bytes(self) -> int:
        return sum(segment.end for segment in self._segments)

    @property
    def segment_count(self) -> int:
        return len(self._segments)

    def append(self, entries: list[Entry], hard: HardState | None = None) -> None:
        """Put entries and hard state on disk. They are there when this returns; NoSpace: nothing of them is."""
        assert not entries or entries[0].index <= self.last_index + 1, f"a gap after {self.last_index}"
        payload = _encoder.encode(Batch(entries, hard))
        try:
            self._write(payload)
        except OSError as error:
            if not is_full(error):
                raise
            self._is_tail_dirty = True
            self._try_to_repair_tail()
            raise NoSpace(str(error)) from error
        self._hard = hard or self._hard
        if entries:
            self.last_index = self._segments[-1].last_index = entries[-1].index

    def make_room(self) -> None:
        """After NoSpace: see whether there is room again; NoSpace when there is not."""
        try:
            self._repair_tail()
            if self._reserved_bytes - self._segments[-1].end < PROBE_BYTES:
                self._begin_segment(PROBE_BYTES)
        except OSError as error:
            if not is_full(error):
                raise
            raise NoSpace(str(error)) from error

    def batches(self) -> Iterator[Batch]:
        """Give everything that is on disk, in the order in which it was written."""
        for segment in self._segments:
            self.reading = segment.name
            for payload in frames.scan(self._disk.read(segment.name), segment.head).frames:
                batch = self._decode(payload, segment.name)
                self._hard = batch.hard or self._hard
                yield batch

    def release(self, through_index: int) -> list[str]:
        """Let go of segments that hold nothing after an index: a snapshot covers them. Return the files, which somebody
        must remove in this order, and can do so beside writes to the log."""
        released = []
        while len(self._segments) > 1 and self._segments[0].last_index <= through_index:
            released.append(self._segments.pop(0).name)
        return released

    def skip_to(self, index: int) -> None:
        """Go on after an index beyond the last entry, which a snapshot covers."""
        self.last_index = max(self.last_index, index)

    def restart_after(self, index: int) -> None:
        """Go on after an index which a snapshot covers; whatever the log holds is of no use. NoSpace: it still does."""
        try:
            self._begin_segment(PROBE_BYTES)
        except OSError as error:
            if not is_full(error):
                raise
            raise NoSpace(str(error)) from error
        self.last_index = index
        while len(self._segments) > 1:
            self._disk.remove(self._segments.pop(0).name)
        self._disk.sync_names()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    # Writing

    def _write(self, payload: bytes) -> None:
        self._repair_tail()
        segment = self._segments[-1]
        frame = frames.pack_frame(segment.head.salt, segment.next_sequence, payload)
        if segment.end + len(frame) > self._reserved_bytes:
            segment = self._begin_segment(len(frame))
            frame = frames.pack_frame(segment.head.salt, segment.next_sequence, payload)
        assert self._file is not None, "the log is closed"
        self._file.write_at(segment.end, frame)
        self._file.sync()
        segment.end += len(frame)
        segment.next_sequence += 1

    def _repair_tail(self) -> None:
        """Remove what a failed write left, so that it can never be taken for a frame."""
        if self._is_tail_dirty:
            assert self._file is not None, "the log is closed"
            self._file.truncate(self._segments[-1].end)
            self._file.sync()
            self._file.reserve(self._reserved_bytes)
            self._is_tail_dirty = False

    def _try_to_repair_tail(self) -> None:
        """Remove the remains of a failed write at once, if that can be: its callers hear that it did not happen."""
        try:
            self._repair_tail()
        except OSError as error:
            if not is_full(error):
                raise

    def _begin_segment(self, room_bytes: int) -> Segment:
        """Make the next file, whole and synced before it gets its name; from then on nothing goes into the last one."""
        sequence = self._segments[-1].next_sequence if self._segments else 1
        head = frames.Head(MAGIC, secrets.randbits(32), sequence)
        segment = Segment(f"{sequence:016x}{SUFFIX}", head, frames.HEAD_BYTES, sequence)
        start = head.pack()
        if self._hard is not None:
            start += frames.pack_frame(head.salt, sequence, _encoder.encode(Batch([], self._hard)))
            segment.end, segment.next_sequence = len(start), sequence + 1
        size_bytes = max(self._segment_bytes, segment.end + room_bytes)
        file = self._disk.create(TEMPORARY)
        try:
            file.reserve(size_bytes)
            file.write_at(0, start)
            file.sync()
            self._disk.rename(TEMPORARY, segment.name)
            self._disk.sync_names()
        except OSError:
            file.close()
            raise
        self.close()
        self._file, self._reserved_bytes = file, size_bytes
        if self._segments and self._segments[-1].name == segment.name:
            self._segments.pop()  # it held no frame yet and was too small; the new file took its name and place
        self._segments.append(segment)
        return segment

    # Opening

    @classmethod
    def open(cls, disk: Disk, segment_bytes: int) -> "Log":
        """Open the log of a directory, or begin one; `cut` says what was cut off."""
        names = [name for name in disk.names() if name.endswith(SUFFIX)]
        segments = [_read_segment(disk, name, names[position + 1 :]) for position, name in enumerate(names)]
        for before, after in zip(segments, segments[1:], strict=False):
            if after.head.first_sequence != before.next_sequence:
                what = f"frame {before.next_sequence} should follow {before.name}, but this begins with another"
                raise DataRefused(disk.describe(after.name), what, RESTORE)
        log = cls(disk, segment_bytes, segments)
        if segments:
            log._reopen_last()
        else:
            log._begin_segment(0)
        return log

    def _reopen_last(self) -> None:
        """Cut what an interrupted write left behind the last frame, and go on from there."""
        last = self._segments[-1]
        found = frames.scan(self._disk.read(last.name), last.head)
        self._file = self._disk.open(last.name)
        if found.damaged_bytes:
            self.cut = Cut(self._disk.describe(last.name), found.end, found.damaged_bytes)
            self._file.truncate(found.end)
            self._file.sync()
        self._reserved_bytes = max(self._segment_bytes, self._disk.size_bytes(last.name))
        try:
            self._file.reserve(self._reserved_bytes)
        except OSError as error:
            if not is_full(error):
                raise
            self._reserved_bytes = found.end  # reads are still served; the first write asks for room again

    def _decode(self, payload: bytes, name: str) -> Batch:
        return _decode_batch(self._disk, name, payload)


def _decode_batch(disk: Disk, name: str, payload: bytes) -> Batch:
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise DataRefused(disk.describe(name), f"a batch cannot be decoded: {error}", RESTORE) from error


def _read_segment(disk: Disk, name: str, later: list[str]) -> Segment:
    """Return what is in a segment file; DataRefused when it is damaged other than by an interrupted last write."""
    file = disk.describe(name)
    data = disk.read(name)
    try:
        head = frames.parse_head(data, MAGIC)
    except frames.NewerFormat as error:
        raise NewerFormat(file, str(error)) from error
    except frames.NotAHead as error:
        raise DataRefused(file, f"this is not a segment of the log: {error}", RESTORE, 0) from error
    if name != f"{head.first_sequence:016x}{SUFFIX}":
        raise DataRefused(file, f"it begins with frame {head.first_sequence:016x}, unlike its name", RESTORE)
    found = frames.scan(data, head)
    if found.valid_again_at is not None or (found.damaged_bytes and later):
        behind = f"byte {found.valid_again_at}" if found.valid_again_at is not None else later[0]
        what = f"the log is damaged (what was stored after it, from {behind} on, is valid)"
        raise DataRefused(file, what, cut_advice(found.end, later), found.end)
    segment = Segment(name, head, found.end, head.first_sequence + len(found.frames))
    for payload in reversed(found.frames):
        if entries := _decode_batch(disk, name, payload).entries:
            segment.last_index = entries[-1].index
            break
    return segment
