"""A cluster in a file, and a new cluster out of it.

What is saved: all objects with their history, the keys and certificates under DATA/pki, which old kubeconfigs and
tokens depend on, and the config. What is not: what nodes can make again (containers, images, volumes' content, logs),
and files of the user's that the config names elsewhere. So the file is as secret as the cluster.

A snapshot that an etcd client saved holds the objects alone: what is restored of it gets new keys.

Nothing is made before the whole file has been read and found good, and nothing is made where anything is. What is made
is made in a folder beside its place, DATA/restoring, and moved when it is complete. A restoration that fails leaves
nothing; one that is killed leaves that folder, with which no cluster starts, and the next restoration begins anew.

Neighbours: `commands.snapshot` is the command; `actors.state.archive` is the file, `actors.state.restoring` makes the
state actors' directories.
"""

import errno
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from actors.api.addresses import nodes_of_role
from actors.api.config import ClusterConfig
from actors.api.meta import now_rfc3339
from actors.cluster.bringup import ASKED_RECORD, CONFIG_RECORD, UNFINISHED
from actors.state import archive, restoring
from actors.state.archive import Archive, BadArchive, Chunk, Manifest, StoredFile
from runtime.clock import SystemClock
from runtime.supervisor.datadir import DataDir

PKI = "pki"
KEPT = (PKI, CONFIG_RECORD)  # what of a data directory goes along
OURS = (PKI, "actors", CONFIG_RECORD, ASKED_RECORD)  # what must not be there where a cluster is restored


class CannotRestore(Exception):
    """Why a snapshot is not restored here. The message is for the user."""


def stored_files(data_dir: Path) -> Iterator[StoredFile]:
    """Give the files of a data directory that a snapshot holds. OSError."""
    for name in KEPT:
        base = data_dir / name
        for path in sorted(base.rglob("*")) if base.is_dir() else [base]:
            if path.is_file() and not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                yield StoredFile(str(path.relative_to(data_dir)), mode, path.read_bytes())


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there whole, or not at all, once this is left; for its owner only. OSError."""
    beside = path.with_name(f"{path.name}.part")
    beside.unlink(missing_ok=True)  # whose ever it is: what is there already may be open to others, or lead elsewhere
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


async def save(file: Path, chunks: AsyncIterator[bytes], data_dir: Path, cluster: str, member: str) -> Manifest:
    """Write a snapshot as the chunks of the state's image come; return what it is. OSError, BusError."""
    packer = archive.Packer()
    manifest: Manifest | None = None
    with whole_file(file) as out:
        async for chunk in chunks:
            if manifest is None:
                now = now_rfc3339(SystemClock())
                manifest = archive.manifest_of_chunk(chunk, cluster, member, now)
                out.write(packer.begin(manifest))
                for each in stored_files(data_dir):
                    out.write(packer.add(each))
            out.write(packer.add(Chunk(chunk)))
        assert manifest is not None, "an image has a head"
        out.write(packer.end())
    return manifest


@dataclass(frozen=True)
class Plan:
    """What a restoration will make."""

    archive: Archive
    config: ClusterConfig
    members: list[str]  # of the new group
    here: list[str]  # those of them that live on this machine
    data_dir: Path

    @property
    def has_keys(self) -> bool:
        return any(file.path.startswith(f"{PKI}/") for file in self.archive.files)


def plan(file: Path, data_dir: Path, config: ClusterConfig | None, only: Iterable[str] = ()) -> Plan:
    """Read and check everything, and change nothing. CannotRestore, OSError."""
    for name in () if (data_dir / UNFINISHED).exists() else OURS:
        if (data_dir / name).exists():
            raise CannotRestore(
                f"{data_dir} holds a cluster already; `kubus down --purge` removes it, or give another --data-dir"
            )
    try:
        found = archive.read(file)
    except BadArchive as error:
        raise CannotRestore(str(error)) from error
    for each in found.files:
        _check_path(file, each)
    config = config or _config_of(file, found)
    nodes = nodes_of_role(config, "state")
    if not nodes:
        raise CannotRestore("the config has no state actors to restore into: where etcd keeps the state, restore that")
    wanted = set(only) or set(config.nodes)
    if unknown := sorted(wanted - set(config.nodes)):
        raise CannotRestore(f"the config has no node {', '.join(unknown)}")
    members = [f"state@{node}" for node in nodes]
    here = [f"state@{node}" for node in nodes if node in wanted]
    if not here:
        raise CannotRestore(f"none of {', '.join(sorted(wanted))} has a state actor")
    return Plan(found, config, members, here, data_dir)


def carry_out(wanted: Plan) -> None:
    """Make the data directory, or leave it as it was. DataDirError, OSError."""
    is_new = not wanted.data_dir.exists()
    lock = DataDir(wanted.data_dir)  # nobody starts on it meanwhile
    try:
        _clear(wanted.data_dir)
        (wanted.data_dir / UNFINISHED).mkdir(mode=0o700)
        _make(wanted, wanted.data_dir / UNFINISHED)
        _move(wanted.data_dir)
    except BaseException as error:
        _clear(wanted.data_dir)
        if is_new:
            shutil.rmtree(wanted.data_dir)
        if isinstance(error, restoring.NoRoom):
            raise OSError(errno.ENOSPC, str(error)) from error
        raise
    finally:
        lock.close()


def _clear(data_dir: Path) -> None:
    """Remove what a restoration that was not finished has made, the mark of it last."""
    made = data_dir / UNFINISHED
    if not made.exists():
        return
    for name in OURS:
        path = data_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(made)


def _move(data_dir: Path) -> None:
    """Have what was made take its place; that it was not finished is forgotten last."""
    made = data_dir / UNFINISHED
    for name in OURS:
        if (made / name).exists():
            (made / name).rename(data_dir / name)
    _sync(data_dir)
    made.rmdir()
    _sync(data_dir)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(wanted: Plan, data_dir: Path) -> None:
    for file in wanted.archive.files:
        if file.path != CONFIG_RECORD:
            _write_file(data_dir / file.path, file)
    begun = restoring.new_group(wanted.archive, wanted.members)
    for name in wanted.here:
        restoring.restore_member(data_dir / "actors" / name, wanted.archive, begun)
    record = msgspec.json.format(msgspec.json.encode(wanted.config), indent=2)
    _write_file(data_dir / CONFIG_RECORD, StoredFile(CONFIG_RECORD, 0o644, record))


def _config_of(file: Path, found: Archive) -> ClusterConfig:
    for each in found.files:
        if each.path == CONFIG_RECORD:
            try:
                return msgspec.json.decode(each.content, type=ClusterConfig)
            except msgspec.DecodeError as error:
                raise CannotRestore(
                    f"the config in {file} is not one of this release ({error}); give --config"
                ) from error
    raise CannotRestore(f"there is no config in {file}; give --config")


def _check_path(file: Path, each: StoredFile) -> None:
    """Refuse to write anywhere but in the places that a snapshot is made of."""
    path = PurePosixPath(each.path)
    if path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0] not in KEPT:
        raise CannotRestore(f"{file} wants to write {each.path!r}, which is no file of a cluster")


def _write_file(path: Path, file: StoredFile) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode & 0o700 or 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(file.content)
        handle.flush()
        os.fsync(handle.fileno())
    path.chmod(file.mode & 0o777)
