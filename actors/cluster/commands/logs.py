"""`kubus logs`: an actor's own log. It needs no running cluster: logs are files."""

import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import click

from actors.cluster.commands.shared_options import data_dir_option, fail

POLL_S = 0.1  # between looks at a file that is followed


@click.command("logs")
@click.argument("actor")
@data_dir_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now.")
@click.option("--tail", type=click.IntRange(0), help="Only this many lines from the end.")
def command(actor: str, data_dir: Path, follow: bool, tail: int | None) -> None:
    """Print the log of an actor.

    ACTOR is a name such as state@m1, containerd@w1, supervisor, or a role that only one actor has.
    """
    from actors.cluster.commands.talk import find_actor

    folder = data_dir.absolute() / "logs"
    names = sorted(path.stem for path in folder.glob("*.log"))
    if not names:
        fail(f"no logs in {folder}")
    path = folder / f"{find_actor(names, actor)}.log"
    with open(path, "rb") as file:
        _print(deque(file, tail) if tail is not None else file)
        try:
            while follow:
                _print(file)
                _rewind_if_cut(file.fileno())
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            return


def _print(lines: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    for line in lines:
        out.write(line)
    out.flush()


def _rewind_if_cut(descriptor: int) -> None:
    """The supervisor cuts a log that grew too long to nothing: go on at its new beginning."""
    if os.fstat(descriptor).st_size < os.lseek(descriptor, 0, os.SEEK_CUR):
        os.lseek(descriptor, 0, os.SEEK_SET)
