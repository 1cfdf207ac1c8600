"""A full disk costs log lines, and nothing that a process does."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from runtime.full_disk import Forbearing, NoRoom, room_at
from runtime.supervisor import journal, records
from runtime.supervisor.journal import Journal, turn_over
from runtime.supervisor.records import Recorder


class Disk:
    """Refuses with an errno for as long as one is set."""

    def __init__(self):
        self.errno = 0

    def check(self):
        if self.errno:
            raise OSError(self.errno, os.strerror(self.errno))

    def before(self, call):
        def checked(*arguments, **named):
            self.check()
            return call(*arguments, **named)

        return checked


@pytest.fixture
def disk():
    return Disk()


class File(io.StringIO):
    def __init__(self, disk):
        super().__init__()
        self._disk = disk

    def flush(self):
        self._disk.check()


def test_an_actor_that_has_something_to_say_goes_on_and_says_later_that_it_did(disk):
    out = File(disk)
    log = Forbearing(out)
    log.write("one\n")
    disk.errno = errno.ENOSPC
    log.write("two\n")
    log.write("three\n")
    disk.errno = 0
    log.write("four\n")
    log.write("five\n")
    told = out.getvalue().splitlines()
    assert told[-2:] == ["four", "five"] and json.loads(told[-3])["lines"] == 2


@pytest.mark.parametrize("what", ["log", "journal", "records"])
def test_a_disk_that_fails_is_another_matter(disk, tmp_path, monkeypatch, what):
    disk.errno = errno.EIO
    monkeypatch.setattr(journal.os, "write", disk.before(os.write))
    monkeypatch.setattr(records.os, "replace", disk.before(os.replace))
    with pytest.raises(OSError, match="Input/output error"):
        match what:
            case "log":
                Forbearing(File(disk)).write("x")
            case "journal":
                Journal(tmp_path / "supervisor.log").write("x")
            case "records":
                Recorder(tmp_path).add("a@n", os.getpid())


def test_a_supervisor_goes_on_without_its_journal(disk, tmp_path, monkeypatch):
    path = tmp_path / "supervisor.log"
    log = Journal(path)
    monkeypatch.setattr(journal.os, "write", disk.before(os.write))
    log.write("one")
    disk.errno = errno.ENOSPC
    log.write("two")
    disk.errno = 0
    monkeypatch.setattr(journal.os, "write", lambda out, line: os.pwrite(out, line[:7], 0) if line else 0)
    log.write("three")  # for which there is only half of the room
    monkeypatch.undo()
    log.write("four")
    log.write("five")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line.get("lost_lines_before")) for line in lines] == [
        ("one", None),
        ("four", 2),
        ("five", None),
    ]


def test_a_supervisor_notes_its_children_when_there_is_room_again(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", disk.before(Path.write_bytes))
    kept = Recorder(tmp_path)
    kept.add("a@n", os.getpid())
    disk.errno = errno.ENOSPC
    kept.remove("a@n")
    kept.add("b@n", os.getpid())
    kept.catch_up()
    assert [child.name for child in kept.all()] == ["b@n"]
    assert [child.name for child in Recorder(tmp_path)._load()] == ["a@n"]
    disk.errno = 0
    kept.catch_up()
    assert [child.name for child in Recorder(tmp_path)._load()] == ["b@n"]


def test_a_long_log_is_cut_on_a_full_disk_too(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(journal.shutil, "copyfile", disk.before(shutil.copyfile))
    (tmp_path / "a.log").write_bytes(bytes(2000))
    disk.errno = errno.EDQUOT
    assert turn_over(tmp_path, limit_bytes=1000) == ["a.log"]
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("a.log", 0)]


def test_what_has_no_room_is_told_with_its_place_and_what_helps(tmp_path):
    place = tmp_path / "not" / "there" / "yet"
    with pytest.raises(NoRoom, match=rf"no room is left on the disk of {place} \(.* MB free\): do this") as told:
        with room_at(place, "do this"):
            with room_at(tmp_path, "do that"):
                pass
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told.value.errno == errno.ENOSPC
    with pytest.raises(NoRoom, match="of inner .*: do that"), room_at(place, "do this"):
        room_at(Path("inner"), "do that")(Disk.check)(full_of(errno.ENOSPC))
    with pytest.raises(NoRoom, match="this user's disk quota is used up"), room_at(place):
        full_of(errno.EDQUOT).check()
    with pytest.raises(PermissionError), room_at(place):
        full_of(errno.EACCES).check()


def full_of(number):
    disk = Disk()
    disk.errno = number
    return disk
