"""A real directory: what was written to a file is what is in it, and what comes after it is blank."""

import random

from actors.state.disk import BLANK_BYTES, SMALL_BYTES, DirectoryDisk

RESERVED = 4 * BLANK_BYTES


def test_a_reserved_file_holds_what_was_written_and_is_blank_beyond(tmp_path):
    disk, choose = DirectoryDisk(tmp_path / "state"), random.Random(7)
    file = disk.create("segment")
    file.reserve(RESERVED)
    written = b""
    while len(written) < RESERVED - 2 * SMALL_BYTES:
        data = choose.randbytes(choose.choice((10, 1_500, SMALL_BYTES, SMALL_BYTES + 1)))
        file.write_at(len(written), data)
        written += data
        assert disk.read("segment") == written + bytes(RESERVED - len(written))
    file.sync()
    assert disk.size_bytes("segment") == RESERVED
    file.close()
    disk.close()


def test_a_file_that_was_cut_is_blank_again_beyond(tmp_path):
    disk = DirectoryDisk(tmp_path / "state")
    file = disk.create("segment")
    file.reserve(RESERVED)
    file.write_at(0, b"a" * 3_000)
    file.truncate(1_000)
    file.reserve(RESERVED)
    file.write_at(1_000, b"b" * 500)
    assert disk.read("segment") == b"a" * 1_000 + b"b" * 500 + bytes(RESERVED - 1_500)
    file.close()
    disk.close()


def test_a_file_that_was_not_reserved_ends_where_it_was_written_to(tmp_path):
    disk = DirectoryDisk(tmp_path / "state")
    file = disk.create("snapshot")
    file.write_at(0, b"head")
    file.write_at(4, b"body")
    assert disk.read("snapshot") == b"headbody"
    file.close()
    disk.close()
