"""The supervisor's log, and the limit on everybody's."""

import json

from runtime.supervisor.journal import Journal, turn_over


def test_lines_are_json_and_appended(tmp_path):
    for word in ("one", "two"):
        journal = Journal(tmp_path / "supervisor.log")
        journal.write(word, "warning", child="state@m1")
        journal.close()
    lines = [json.loads(line) for line in (tmp_path / "supervisor.log").read_text().splitlines()]
    assert [(line["event"], line["level"], line["child"]) for line in lines] == [
        ("one", "warning", "state@m1"),
        ("two", "warning", "state@m1"),
    ]


def test_a_long_log_is_cut_while_its_writer_goes_on(tmp_path):
    path = tmp_path / "state@m1.log"
    with open(path, "ab", buffering=0) as writer:
        writer.write(b"x" * 2000)
        (tmp_path / "short.log").write_bytes(b"x")
        assert turn_over(tmp_path, limit_bytes=1000) == ["state@m1.log"]
        writer.write(b"new")
    assert path.read_bytes() == b"new"
    assert len((tmp_path / "state@m1.log.1").read_bytes()) == 2000
    assert turn_over(tmp_path, limit_bytes=1000) == []
