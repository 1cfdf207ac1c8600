"""Snapshots outside of a data directory: whole or refused, and what is restored of them."""

import hashlib
import random
import shutil
from pathlib import Path

import pytest

from actors.api.config import ClusterConfig, NodeConfig
from actors.cluster import bringup, snapshots
from actors.cluster.wish import Wish
from actors.state import archive, frames, restoring
from actors.state.archive import BadArchive, StoredFile
from actors.state.commands import GrantCommand, TxnCommand
from actors.state.disk import DirectoryDisk
from actors.state.messages import DeleteRange, Put, Txn
from actors.state.storage import Storage
from tests.actors.state.alone import core_of, new_core, work


def a_core():
    core = new_core()
    for command in (
        GrantCommand(7, 60),
        *(TxnCommand(Txn([], [Put(b"/%d" % n, b"%d" % n * 100, lease=7 * (n % 2))]), f"id-{n}") for n in range(20)),
        TxnCommand(Txn([], [DeleteRange(b"/3")])),
    ):
        core.propose(command)
    work(core)
    return core


def save(path, core, files=()):
    taken = core.capture("0123456789abcdef")
    manifest = archive.manifest_of(taken.head, "c", "alone", "2026-01-01T00:00:00Z")
    path.write_bytes(b"".join(archive.pieces(manifest, files, taken.chunks())))
    return path


def shown(store):
    return store.revision, store.compact_revision, store.live(), sorted(store.leases.items())


def test_what_is_saved_is_read_back(tmp_path):
    core = a_core()
    file = StoredFile("pki/ca.key", 0o600, b"key")
    found = archive.read(save(tmp_path / "s", core, [file]))
    assert (tmp_path / "s").stat().st_size % archive.BLOCK_BYTES == archive.DIGEST_BYTES
    assert (found.manifest.revision, found.manifest.cluster_id) == (core.machine.store.revision, "0123456789abcdef")
    assert found.files == [file]
    assert shown(found.restored.machine.store) == shown(core.machine.store)


@pytest.mark.parametrize("names", [["state@m1"], ["state@m1", "state@m2", "state@m3"]])
def test_each_member_of_the_new_group_begins_with_all_of_it(tmp_path, names):
    core = a_core()
    found = archive.read(save(tmp_path / "s", core))
    begun = restoring.new_group(found, names)
    assert begun == restoring.new_group(archive.read(tmp_path / "s"), names[::-1])
    assert begun.cluster_id != restoring.new_group(found, [*names, "state@m9"]).cluster_id
    for name in names:
        restoring.restore_member(tmp_path / name, found, begun)
        storage = Storage(DirectoryDisk(tmp_path / name), 1 << 20, name)
        recovered = storage.recover()
        assert shown(recovered.machine.store) == shown(core.machine.store)
        assert (recovered.members, storage.group.cluster_id) == (dict.fromkeys(names, True), begun.cluster_id)
        if len(names) == 1:
            again = core_of(recovered, name)
            again.propose(TxnCommand(Txn([], [Put(b"/new", b"")])))
            work(again, storage)
            assert again.machine.store.revision == core.machine.store.revision + 1
        storage.close()


def test_damage_anywhere_is_refused(tmp_path):
    path = save(tmp_path / "s", a_core())
    good = path.read_bytes()
    randomness = random.Random(1)
    for _ in range(100):
        bad = bytearray(good)
        bad[randomness.randrange(len(good))] ^= 1 << randomness.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(BadArchive):
            archive.read(path)
    for size_bytes in (0, 1, 40, 544, len(good) - 1, len(good) - 512):
        path.write_bytes(good[:size_bytes])
        with pytest.raises(BadArchive):
            archive.read(path)


def sealed(content):
    """Return content with a checksum that fits: made to deceive, or by another program."""
    content += bytes(-len(content) % archive.BLOCK_BYTES)
    return content + hashlib.sha256(content).digest()


def test_what_is_whole_and_yet_no_snapshot_is_refused(tmp_path):
    path = save(tmp_path / "s", a_core())
    content = path.read_bytes()[: -archive.DIGEST_BYTES]
    newer = frames.Head(archive.MAGIC, 0, 1, frames.FORMAT_VERSION + 1).pack()
    cut = content[: len(content) // 2 // 8 * 8]
    for bad, words in (
        (newer + content[32:], "this program knows formats up to"),
        (cut, "ends before its end"),
        (frames.Head(archive.MAGIC, 0, 1).pack(), "does not begin with a description"),
        (frames.Head(archive.MAGIC, 0, 1).pack() + frames.pack_frame(0, 1, b"\xc1"), "cannot be decoded"),
    ):
        path.write_bytes(sealed(bad))
        with pytest.raises(BadArchive, match=words):
            archive.read(path)


def test_a_snapshot_is_its_owner_s_alone_whatever_lies_where_it_is_written(tmp_path):
    path, elsewhere = tmp_path / "s", tmp_path / "elsewhere"
    beside = tmp_path / "s.part"
    for prepare in (lambda: beside.touch(0o666), lambda: beside.symlink_to(elsewhere)):
        prepare()
        with snapshots.whole_file(path) as file:
            file.write(b"secret")
        assert path.read_bytes() == b"secret"
        assert path.stat().st_mode & 0o777 == 0o600
        assert not beside.exists() and not elsewhere.exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "pki/../../x", "actors/state@m1/x", "lock", ""])
def test_a_snapshot_writes_nowhere_else(tmp_path, path):
    file = save(tmp_path / "s", a_core(), [StoredFile(path, 0o600, b"")])
    config = ClusterConfig(nodes={"m1": NodeConfig(roles=["state", "apiserver"])})
    with pytest.raises(snapshots.CannotRestore, match="which is no file of a cluster"):
        snapshots.plan(file, tmp_path / "data", config)
    assert not (tmp_path / "data").exists()


def test_a_plan_needs_somebody_to_restore_into(tmp_path):
    file = save(tmp_path / "s", a_core())
    with pytest.raises(snapshots.CannotRestore, match="give --config"):
        snapshots.plan(file, tmp_path / "data", None)
    config = ClusterConfig(nodes={"m1": NodeConfig(roles=["apiserver"])})
    with pytest.raises(snapshots.CannotRestore, match="no state actors"):
        snapshots.plan(file, tmp_path / "data", config)
    config = ClusterConfig(nodes={name: NodeConfig(roles=["state"]) for name in ("m1", "m2")})
    with pytest.raises(snapshots.CannotRestore, match="no node m3"):
        snapshots.plan(file, tmp_path / "data", config, ["m3"])
    assert snapshots.plan(file, tmp_path / "data", config, ["m2"]).here == ["state@m2"]


TWO = ClusterConfig(nodes={name: NodeConfig(roles=["state", "apiserver"]) for name in ("m1", "m2")})


def restore(tmp_path):
    file = save(tmp_path / "s", a_core(), [StoredFile("pki/ca.key", 0o600, b"key")])
    snapshots.carry_out(snapshots.plan(file, tmp_path / "data", TWO))


def what_is_in(data_dir):
    return sorted(path.name for path in data_dir.iterdir() if path.name not in ("lock", "logs"))


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("error", [restoring.NoRoom("full"), PermissionError("no"), KeyboardInterrupt()])
def test_a_restoration_that_fails_leaves_nothing_and_may_be_repeated(tmp_path, monkeypatch, is_there, error):
    if is_there:
        (tmp_path / "data").mkdir()
    make = restoring.restore_member

    def fail_with_the_second(directory, *rest):
        if directory.name == "state@m2":
            raise error
        make(directory, *rest)

    monkeypatch.setattr(restoring, "restore_member", fail_with_the_second)
    with pytest.raises((OSError, KeyboardInterrupt)):
        restore(tmp_path)
    assert what_is_in(tmp_path / "data") == [] if is_there else not (tmp_path / "data").exists()
    monkeypatch.undo()
    restore(tmp_path)
    assert what_is_in(tmp_path / "data") == ["actors", "cluster.json", "pki"]
    assert what_is_in(tmp_path / "data" / "actors") == ["state@m1", "state@m2"]


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_restoration_that_is_killed_starts_nothing_and_begins_anew(tmp_path, monkeypatch, moved):
    """Killed after so many of its parts are in their place: nobody cleans up then."""
    rename, renamed = Path.rename, []

    def until_killed(self, target):
        if len(renamed) == moved:
            raise SystemExit
        renamed.append(self)
        return rename(self, target)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", until_killed)
        killed.setattr(Path, "rmdir", lambda self: (_ for _ in ()).throw(SystemExit))
        killed.setattr(shutil, "rmtree", lambda path: None)
        killed.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(SystemExit):
            restore(tmp_path)
    assert "restoring" in what_is_in(tmp_path / "data")
    with pytest.raises(bringup.CannotStart, match="was broken off"):
        bringup._prepare(tmp_path / "data", Wish(TWO, tmp_path / "data", 0.0))
    restore(tmp_path)
    assert what_is_in(tmp_path / "data") == ["actors", "cluster.json", "pki"]
    with pytest.raises(snapshots.CannotRestore, match="holds a cluster already"):
        restore(tmp_path)
