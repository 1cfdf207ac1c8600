"""A snapshot outside of any data directory: one file that holds the whole state, and what else a cluster needs to be
again what it was.

Layout: a head, then frames as in the files of a data directory: what it is (`Manifest`), files of the cluster (keys and
certificates; none in a file that an etcd client saved), the chunks of an image, an end mark. Then zeros up to a
multiple of 512 bytes, and the SHA-256 of all before it: with that it is complete to the clients of etcd too, which look
for just this.

A file that is not whole, not one of these, or of a newer format is refused before anything is made of it.

Neighbours: `image` makes the chunks; `etcd.maintenance` and the command line write archives, `restore` reads them.
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from actors.state import frames, image
from actors.state.image import Restored

MAGIC = b"KUBUSARC"
END = b"end"
BLOCK_BYTES = 512  # etcd's clients take a file for complete whose length is some of these and a checksum
DIGEST_BYTES = hashlib.sha256().digest_size
READ_BYTES = 1 << 20


class BadArchive(Exception):
    """This cannot be restored; the message says why."""


class Manifest(msgspec.Struct, frozen=True, tag="manifest"):
    """The first frame."""

    cluster: str  # its name
    cluster_id: str
    member: str  # that gave the snapshot
    revision: int
    index: int  # of the log
    saved_at: str  # RFC 3339


def manifest_of_chunk(first: bytes, cluster: str, member: str, saved_at: str) -> Manifest:
    """Return the description of an image whose first chunk is at hand; BadImage when it is none."""
    return manifest_of(image.head_of(first), cluster, member, saved_at)


def manifest_of(head: image.Head, cluster: str, member: str, saved_at: str) -> Manifest:
    return Manifest(cluster, head.cluster_id, member, head.revision, head.applied, saved_at)


class StoredFile(msgspec.Struct, frozen=True, tag="file"):
    """A file of the cluster's data directory, by its path there."""

    path: str
    mode: int
    content: bytes


class Chunk(msgspec.Struct, frozen=True, tag="chunk"):
    """A part of the image."""

    data: bytes


Part = Manifest | StoredFile | Chunk

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Part] = msgspec.msgpack.Decoder(Part)


class Packer:
    """Turns the parts of an archive into its bytes, one by one: `begin`, `add` for each part, `end`."""

    def __init__(self) -> None:
        self._head = frames.Head(MAGIC, secrets.randbits(32), 1)
        self._sequence = self._head.first_sequence
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    def begin(self, manifest: Manifest) -> bytes:
        return self._sealed(self._head.pack()) + self.add(manifest)

    def add(self, part: Part) -> bytes:
        return self._frame(_encoder.encode(part))

    def end(self) -> bytes:
        last = self._frame(END)
        return last + self._sealed(bytes(-self._size_bytes % BLOCK_BYTES)) + self._digest.digest()

    def _frame(self, payload: bytes) -> bytes:
        frame = frames.pack_frame(self._head.salt, self._sequence, payload)
        self._sequence += 1
        return self._sealed(frame)

    def _sealed(self, data: bytes) -> bytes:
        self._digest.update(data)
        self._size_bytes += len(data)
        return data


def pieces(manifest: Manifest, files: Iterable[StoredFile], chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the bytes of an archive, piece by piece."""
    packer = Packer()
    yield packer.begin(manifest)
    for file in files:
        yield packer.add(file)
    for chunk in chunks:
        yield packer.add(Chunk(chunk))
    yield packer.end()


class Archive:
    """An archive that was read and found whole."""

    def __init__(self, manifest: Manifest, files: list[StoredFile], restored: Restored, digest: str):
        self.manifest = manifest
        self.files = files
        self.restored = restored
        self.digest = digest  # of the file, in hexadecimal


def read(path: Path) -> Archive:
    """Return what a file holds. BadArchive, OSError."""
    digest = _check_digest(path)
    with path.open("rb") as file:

        def at(offset: int, size_bytes: int) -> bytes:
            file.seek(offset)
            return file.read(size_bytes)

        try:
            head = frames.parse_head(at(0, frames.HEAD_BYTES), MAGIC)
        except (frames.NotAHead, frames.NewerFormat) as error:
            raise BadArchive(f"{path}: {error}") from error
        contents = _Contents(path, frames.frames_of(at, head))
        try:
            restored = image.restore(contents.chunks())
        except image.BadImage as error:
            raise BadArchive(f"{path}: the state in it cannot be read: {error}") from error
    return Archive(contents.manifest, contents.files, restored, digest)


class _Contents:
    """The frames of an archive, sorted by what they are; the chunks are given as they come."""

    def __init__(self, path: Path, payloads: Iterator[bytes]):
        self._path = path
        self._payloads = payloads
        self.files: list[StoredFile] = []
        payload = next(payloads, END)
        first = self._decode(payload) if payload != END else None
        if not isinstance(first, Manifest):
            raise BadArchive(f"{path}: it does not begin with a description of what it is")
        self.manifest = first

    def chunks(self) -> Iterator[bytes]:
        for payload in self._payloads:
            if payload == END:
                return
            match self._decode(payload):
                case Chunk(data=data):
                    yield data
                case StoredFile() as file:
                    self.files.append(file)
                case _:
                    raise BadArchive(f"{self._path}: it describes itself twice")
        raise BadArchive(f"{self._path}: it ends before its end")

    def _decode(self, payload: bytes) -> Part:
        try:
            return _decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise BadArchive(f"{self._path}: a part of it cannot be decoded: {error}") from error


def _check_digest(path: Path) -> str:
    """Return the checksum of a file that has the right one at its end."""
    size_bytes = path.stat().st_size
    content_bytes = size_bytes - DIGEST_BYTES
    if content_bytes < frames.HEAD_BYTES:
        raise BadArchive(f"{path}: {size_bytes} bytes are too few for a snapshot")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if not file.read(len(MAGIC)).startswith(MAGIC):
            raise BadArchive(f"{path}: this is not a snapshot of Kubus")
        file.seek(0)
        left = content_bytes
        while left and (piece := file.read(min(left, READ_BYTES))):
            digest.update(piece)
            left -= len(piece)
        expected = file.read()
    if digest.digest() != expected:
        raise BadArchive(
            f"{path}: the checksum at its end does not fit what is before it: the file is damaged or not whole"
        )
    return digest.hexdigest()
