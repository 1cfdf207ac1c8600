"""Frames: how the log and the snapshots lie on disk, and how damage is told from an interrupted write.

A file begins with a head: magic, format version, a random salt, the sequence number of its first frame. Then come
frames, each aligned to 8 bytes: magic, payload length, sequence number, CRC32C of the rest of it and the payload. The
checksum starts from the file's salt, so that no value which a client stores can pass for a frame.

A frame is one write, synced before the next begins. So an interrupted write can only damage the last frame; a valid
frame behind a damaged one means that what was once safely stored has rotted, and then nothing may be cut off.

Neighbours: `log` and `snapshot` store frames; `recovery` decides what a scan means.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crc32c import crc32c

FORMAT_VERSION = 2  # of all files of a data directory; a newer one than its own is refused. 2 brought the hard state
MAX_PAYLOAD_BYTES = 64 << 20  # a longer length is damage; a batch of the log is far shorter

_HEAD = struct.Struct("<8sIIQI")  # magic, format version, salt, first sequence number, CRC32C of what is before
_FRAME = struct.Struct("<4sIQ")  # magic, payload length, sequence number
_CRC = struct.Struct("<I")
_FRAME_MAGIC = b"\xf5kF\x01"
_ALIGN = 8

HEAD_BYTES = 32
FRAME_BYTES = _FRAME.size + _CRC.size + 4  # 4 bytes of padding keep payloads aligned


class NotAHead(Exception):
    """A file does not begin as it should."""


class NewerFormat(Exception):
    """A newer program wrote this."""


@dataclass(frozen=True, slots=True)
class Head:
    magic: bytes
    salt: int
    first_sequence: int
    format_version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        head = _HEAD.pack(self.magic, self.format_version, self.salt, self.first_sequence, 0)[: -_CRC.size]
        return (head + _CRC.pack(crc32c(head))).ljust(HEAD_BYTES, b"\0")


def parse_head(data: bytes, magic: bytes) -> Head:
    """Return the head of a file; NotAHead or NewerFormat when it cannot be used."""
    if len(data) < HEAD_BYTES:
        raise NotAHead(f"it is only {len(data)} bytes long")
    found_magic, version, salt, first_sequence, checksum = _HEAD.unpack_from(data)
    if found_magic != magic:
        raise NotAHead(f"it begins with {found_magic!r} instead of {magic!r}")
    if crc32c(data[: _HEAD.size - _CRC.size]) != checksum:
        raise NotAHead("the checksum of its first bytes is wrong")
    if version > FORMAT_VERSION:
        raise NewerFormat(f"it has format {version}; this program knows formats up to {FORMAT_VERSION}")
    return Head(found_magic, salt, first_sequence, version)


def pack_frame(salt: int, sequence: int, payload: bytes) -> bytes:
    """Return a frame, padded to the alignment."""
    start = _FRAME.pack(_FRAME_MAGIC, len(payload), sequence)
    checksum = _CRC.pack(crc32c(payload, crc32c(start, salt)))
    return b"".join((start, checksum, bytes(4), payload, bytes(-len(payload) % _ALIGN)))


@dataclass(frozen=True, slots=True)
class Scan:
    """What is in a file: its valid frames and what follows them."""

    frames: list[bytes]  # payloads, in order
    end: int  # offset behind the last valid frame
    damaged_bytes: int  # from `end` to the last byte that is not zero: 0 is a clean end
    valid_again_at: int | None  # offset of a valid frame behind the damage: then it is no interrupted write


def scan(data: bytes, head: Head) -> Scan:
    """Read all frames of a file."""
    frames: list[bytes] = []
    offset = HEAD_BYTES
    sequence = head.first_sequence
    while (payload := _frame_at(data, offset, head.salt, sequence, sequence)) is not None:
        frames.append(payload)
        offset += FRAME_BYTES + len(payload) + -len(payload) % _ALIGN
        sequence += 1
    damaged_bytes = len(data[offset:].rstrip(b"\0"))
    valid_again_at = _find_frame(data, offset + _ALIGN, head.salt, sequence) if damaged_bytes else None
    return Scan(frames, offset, damaged_bytes, valid_again_at)


def frames_of(read: Callable[[int, int], bytes], head: Head) -> Iterator[bytes]:
    """Give the payloads of a file one by one, without holding all of it; ends at the first invalid frame.

    `read(offset, size_bytes)` reads the file.
    """
    offset = HEAD_BYTES
    sequence = head.first_sequence
    while len(start := read(offset, FRAME_BYTES)) == FRAME_BYTES:
        magic, length, _ = _FRAME.unpack_from(start)
        if magic != _FRAME_MAGIC or length > MAX_PAYLOAD_BYTES:
            return
        frame = start + read(offset + FRAME_BYTES, length)
        payload = _frame_at(frame, 0, head.salt, sequence, sequence)
        if payload is None:
            return
        yield payload
        offset += FRAME_BYTES + length + -length % _ALIGN
        sequence += 1


def _frame_at(data: bytes, offset: int, salt: int, least: int, most: int) -> bytes | None:
    """Return the payload of the valid frame at an offset, if there is one with a number from `least` to `most`."""
    payload_at = offset + FRAME_BYTES
    if payload_at > len(data):
        return None
    magic, length, sequence = _FRAME.unpack_from(data, offset)
    if magic != _FRAME_MAGIC or not least <= sequence <= most:
        return None
    if length > MAX_PAYLOAD_BYTES or payload_at + length > len(data):
        return None
    payload = data[payload_at : payload_at + length]
    start = data[offset : offset + _FRAME.size]
    (checksum,) = _CRC.unpack_from(data, offset + _FRAME.size)
    return payload if crc32c(payload, crc32c(start, salt)) == checksum else None


def _find_frame(data: bytes, offset: int, salt: int, after_sequence: int) -> int | None:
    """Return the offset of the first valid frame at or behind an offset whose number is due later."""
    most = after_sequence + len(data) // FRAME_BYTES  # no file holds more frames than that
    offset = data.find(_FRAME_MAGIC, offset)
    while offset >= 0:
        if offset % _ALIGN == 0 and _frame_at(data, offset, salt, after_sequence + 1, most) is not None:
            return offset
        offset = data.find(_FRAME_MAGIC, offset + 1)
    return None
