"""Programs that succeed, fail, hang, end without reading, and are not there."""

import asyncio
import time

import pytest

from runtime.command import CommandFailed, run


def test_input_and_output():
    assert asyncio.run(run("cat", text="x" * 300_000)) == "x" * 300_000


@pytest.mark.parametrize("text", ["", "y" * 300_000])
def test_a_program_that_reads_nothing_is_no_special_case(text):
    assert asyncio.run(run("true", text=text)) == ""


def test_a_failure_quotes_what_the_program_said():
    with pytest.raises(CommandFailed, match=r"ls /no/such/place: .*No such file"):
        asyncio.run(run("ls", "/no/such/place"))
    with pytest.raises(CommandFailed, match="exit status 1"):
        asyncio.run(run("false"))


def test_what_is_not_installed_is_named():
    with pytest.raises(CommandFailed, match="kubus-no-such-program is not installed"):
        asyncio.run(run("kubus-no-such-program"))


def test_a_program_that_hangs_is_killed_at_the_deadline():
    begin = time.monotonic()
    with pytest.raises(CommandFailed, match="no end after"):
        asyncio.run(run("sleep", "60", deadline_s=0.2))
    assert time.monotonic() - begin < 5
