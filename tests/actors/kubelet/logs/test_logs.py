"""Reading CRI logs: tails, times, parts of lines, limits, rotation."""

import random
from pathlib import Path

import pytest

from actors.api.meta import parse_time
from actors.kubelet.logs import reader as logs
from actors.kubelet.logs import rotation as log_rotation
from actors.kubelet.logs.reader import LogOptions, LogReader, tail_text

START_S = parse_time("2024-01-01T00:00:00Z")


def line(number: int, text: str, stream: str = "stdout", tag: str = "F") -> str:
    return f"2024-01-01T00:{number // 60:02d}:{number % 60:02d}.000000001Z {stream} {tag} {text}\n"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines))
    return path


def read(path: Path, **options) -> str:
    reader = LogReader(path, LogOptions(**options))
    try:
        return b"".join(reader.read()).decode()
    finally:
        reader.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "0.log", *(line(number, f"line {number}") for number in range(100)))


def test_all_of_it(log: Path) -> None:
    assert read(log) == "".join(f"line {number}\n" for number in range(100))


@pytest.mark.parametrize("lines", [0, 1, 3, 99, 100, 500])
def test_tails(log: Path, lines: int) -> None:
    assert read(log, tail_lines=lines).splitlines() == [f"line {n}" for n in range(max(0, 100 - lines), 100)]


@pytest.mark.parametrize("second", [-5, 0, 1, 42, 99, 100])
def test_since_a_time(log: Path, second: int) -> None:
    assert read(log, since_s=START_S + second).splitlines() == [f"line {n}" for n in range(max(0, second), 100)]


def test_since_and_tail_together_give_the_shorter(log: Path) -> None:
    assert read(log, since_s=START_S + 90, tail_lines=3).splitlines() == ["line 97", "line 98", "line 99"]
    assert len(read(log, since_s=START_S + 98, tail_lines=50).splitlines()) == 2


def test_timestamps_and_limit(log: Path) -> None:
    assert read(log, tail_lines=1, timestamps=True) == "2024-01-01T00:01:39.000000001Z line 99\n"
    assert read(log, limit_bytes=9) == "line 0\nli"


def test_one_stream(tmp_path: Path) -> None:
    path = write(tmp_path / "l", line(1, "out"), line(2, "err", "stderr"), line(3, "out again"))
    assert read(path, stream="Stderr") == "err\n"
    assert read(path, stream="Stdout") == "out\nout again\n"


def test_parts_of_a_line_are_joined_and_count_as_one(tmp_path: Path) -> None:
    path = write(tmp_path / "l", line(1, "first"), line(2, "long ", tag="P"), line(2, "er ", tag="P"), line(3, "end"))
    assert read(path) == "first\nlong er end\n"
    assert read(path, tail_lines=1) == "long er end\n"
    assert read(path, tail_lines=2, timestamps=True).splitlines()[1] == "2024-01-01T00:00:02.000000001Z long er end"


def test_an_empty_line_and_a_broken_one(tmp_path: Path) -> None:
    path = write(tmp_path / "l", line(1, ""), "garbage\n", line(2, "after"))
    assert read(path) == "\ngarbage\nafter\n"


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "l", line(1, "whole"), line(2, "half")[:-3])
    reader = LogReader(path, LogOptions())
    assert b"".join(reader.read()) == b"whole\n"
    with path.open("a") as file:
        file.write(line(2, "half")[-3:])
    assert b"".join(reader.read()) == b"half\n"
    reader.close()


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    reader = LogReader(tmp_path / "l", LogOptions())
    assert list(reader.read()) == []
    write(tmp_path / "l", line(1, "now"))
    assert list(reader.read()) == [b"now\n"]
    reader.close()


def test_rotation_loses_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "l", line(1, "a"))
    reader = LogReader(path, LogOptions())
    assert b"".join(reader.read()) == b"a\n"
    with path.open("a") as file:
        file.write(line(2, "b"))
    path.rename(tmp_path / "l.1")
    assert not reader.was_rotated()
    write(path, line(3, "c"))
    assert reader.was_rotated()
    assert b"".join(reader.read()) == b"b\n"
    reader.begin_next()
    assert b"".join(reader.read()) == b"c\n"
    reader.close()


@pytest.mark.parametrize("seed", range(5))
def test_any_log_in_any_blocks(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks cut lines everywhere; the result is that of the naive reading."""
    rng = random.Random(seed)
    monkeypatch.setattr(logs, "BLOCK_BYTES", rng.randint(7, 60))
    entries = [(number, "x" * rng.randint(0, 40) + str(number)) for number in range(60)]
    path = write(tmp_path / "l", *(line(number, text) for number, text in entries))
    for lines in (1, 2, 7, 60):
        assert read(path, tail_lines=lines).splitlines() == [text for _, text in entries[-lines:]]
    since = rng.randint(0, 59)
    assert read(path, since_s=START_S + since).splitlines() == [text for _, text in entries[since:]]


def test_the_end_as_text(log: Path) -> None:
    assert tail_text(log, lines=80, limit_bytes=16) == "line 98\nline 99\n"


def test_big_logs_are_set_aside_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rotation, "MAX_BYTES", 10)
    path = tmp_path / "0.log"
    for number in range(8):
        path.write_text(f"a log that is too long {number}")
        assert log_rotation.is_due(path)
        log_rotation.set_aside(path, 1_700_000_000 + number)
        assert log_rotation.is_due(path), "one that is missing is to be reopened"
        path.write_text("new")
        assert not log_rotation.is_due(path)
    texts = [file.read_text()[-1] for file in log_rotation.log_files(path)]
    assert texts == ["3", "4", "5", "6", "7", "w"][-len(texts) :]
    assert len(texts) == log_rotation.MAX_FILES
