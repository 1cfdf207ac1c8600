"""Reading container logs: the CRI's line format, from the end, from a time, and on while they grow.

A line is `TIME STREAM TAGS TEXT`: the time in RFC 3339 with nanoseconds, stdout or stderr, and the tag F for a whole
line or P for a part of one that goes on in the next. Files are read in blocks, for the tail from their end, so that a
big log costs no more than what is asked of it. A line that the runtime has not finished writing waits for its end; a
malformed one (a crash in the middle of a write) is passed on as it is.

Neighbours: `serving` streams what `LogReader` yields; `file_watch` tells when a file has grown.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from actors.api.meta import parse_time

BLOCK_BYTES = 64 * 1024
MAX_LINE_BYTES = 1024 * 1024  # a runtime cuts lines at 16 KiB; what is longer than this has lost its newlines


@dataclass(frozen=True, slots=True)
class LogOptions:
    tail_lines: int | None = None
    since_s: float | None = None  # wall seconds
    timestamps: bool = False
    limit_bytes: int | None = None
    stream: str = "All"


@dataclass(frozen=True, slots=True)
class _Line:
    time: bytes
    stream: bytes
    whole: bool
    text: bytes  # with its newline if it is whole

    @staticmethod
    def of(raw: bytes) -> "_Line | None":
        parts = raw.rstrip(b"\n").split(b" ", 3)
        if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
            return None
        whole = parts[2].split(b":")[0] == b"F"
        text = parts[3] if len(parts) == 4 else b""
        return _Line(parts[0], parts[1], whole, text + b"\n" if whole else text)


class LogReader:
    """Reads one file from where the options say; `read` again yields what was added since."""

    def __init__(self, path: Path, options: LogOptions):
        self._path = path
        self._options = options
        self._stream = b"" if options.stream in ("", "All") else options.stream.lower().encode()
        self._file: BinaryIO | None = None
        self._rest = b""
        self._in_line = False  # the last line that was passed on goes on in the next
        self._left = options.limit_bytes

    @property
    def is_full(self) -> bool:
        """Whether `limit_bytes` were read."""
        return self._left is not None and self._left <= 0

    def read(self) -> Iterator[bytes]:
        """Yield blocks of text up to the present end of the file. A file that is not there yet is empty."""
        if not self._open():
            return
        assert self._file is not None
        while not self.is_full:
            block = self._file.read(BLOCK_BYTES)
            if not block:
                return
            text = self._take(block)
            if text:
                yield self._cut(text)

    def was_rotated(self) -> bool:
        """Tell whether the path leads to another file now: read the rest of this one, then `begin_next`."""
        if self._file is None or not self._path.exists():
            return False
        here, there = os.fstat(self._file.fileno()), self._path.stat()
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)

    def begin_next(self) -> None:
        """Go on with the file that the path leads to now, from its beginning."""
        self.close()
        self._options = LogOptions(timestamps=self._options.timestamps, stream=self._options.stream)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> bool:
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return False
            self._file.seek(self._begin(self._file))
        return True

    def _begin(self, file: BinaryIO) -> int:
        begin = 0
        if self._options.since_s is not None:
            begin = offset_of_time(file, self._options.since_s)
        if self._options.tail_lines is not None:
            begin = max(begin, offset_of_tail(file, self._options.tail_lines))
        return begin

    def _take(self, block: bytes) -> bytes:
        """Return the text of the lines that a block completes."""
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return b"".join(self._text(raw) for raw in lines)

    def _text(self, raw: bytes) -> bytes:
        line = _Line.of(raw)
        if line is None:
            return raw + b"\n"
        if self._stream and line.stream != self._stream:
            return b""
        prefix = line.time + b" " if self._options.timestamps and not self._in_line else b""
        self._in_line = not line.whole
        return prefix + line.text

    def _cut(self, text: bytes) -> bytes:
        if self._left is None:
            return text
        text = text[: self._left]
        self._left -= len(text)
        return text


def offset_of_tail(file: BinaryIO, lines: int) -> int:
    """Return where the last `lines` whole lines begin; parts of lines belong to the line that they end in."""
    end = file.seek(0, 2)
    if lines <= 0:
        return end
    found = 0
    for offset, raw in _lines_backwards(file, end):
        line = _Line.of(raw)
        if line is None or line.whole:
            if found == lines:
                return offset + len(raw)
            found += 1
    return 0


def offset_of_time(file: BinaryIO, since_s: float) -> int:
    """Return where the first line at or after a time begins, by bisection: times only grow in a log."""
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        begin, raw = _line_at(file, middle)
        line = _Line.of(raw) if raw else None
        if not raw or begin >= high:
            high = middle
        elif line is not None and _seconds(line.time) < since_s:
            low = begin + len(raw)
        else:
            high = middle
    return low


def tail_text(path: Path, lines: int, limit_bytes: int) -> str:
    """Return the end of a log as text, at most so many lines and bytes of it."""
    reader = LogReader(path, LogOptions(tail_lines=lines))
    try:
        text = b"".join(reader.read())
    finally:
        reader.close()
    return text[-limit_bytes:].decode(errors="replace")


def _seconds(time: bytes) -> float:
    """Return a line's time; a malformed one counts as early, so that the line before it decides."""
    try:
        head, _, rest = time.decode("ascii").partition(".")
        digits = rest.rstrip("Z").split("+")[0].split("-")[0]
        zone = rest[len(digits) :] if rest else ""
        return parse_time(head + (zone or ("" if head.endswith("Z") else "Z"))) + float(f"0.{digits or 0}")
    except ValueError:
        return 0.0


def _line_at(file: BinaryIO, offset: int) -> tuple[int, bytes]:
    """Return (begin, line) of the first line that begins at or after an offset."""
    if offset > 0:
        file.seek(offset - 1)
        skipped = file.readline(MAX_LINE_BYTES)
        offset += len(skipped) - 1
    file.seek(offset)
    return offset, file.readline(MAX_LINE_BYTES)


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line with its newline) from the last line to the first."""
    rest, position = b"", end
    while position > 0:
        size = min(BLOCK_BYTES, position)
        position -= size
        file.seek(position)
        block = file.read(size) + rest
        cut = 0 if position == 0 else block.find(b"\n") + 1
        if cut == 0 and position > 0:
            rest = block
            continue
        rest, whole = block[:cut], block[cut:]
        offset = position + cut + len(whole)
        for raw in reversed(whole.splitlines(keepends=True)):
            offset -= len(raw)
            yield offset, raw
    if rest:
        yield 0, rest
