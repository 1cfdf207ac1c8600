"""Options that several commands have, and how a command finds the cluster that it is about."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from actors.cluster import exits
from runtime.supervisor.datadir import holder

Function = TypeVar("Function", bound=Callable[..., Any])


def default_data_dir() -> Path:
    """Return where a cluster lives unless told otherwise: the system's place for root, the user's own for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/kubus")
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(base) / "kubus"


def data_dir_option(function: Function) -> Function:
    """Add --data-dir."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_data_dir,
        envvar="KUBUS_DATA_DIR",
        show_envvar=True,
        help="Where the cluster keeps everything. Default: /var/lib/kubus for root, else ~/.local/share/kubus.",
    )(function)


def fail(message: str, status: int = exits.FAILURE) -> NoReturn:
    """Say why and exit."""
    click.echo(f"kubus: {message}", err=True)
    raise SystemExit(status)


def running(data_dir: Path) -> tuple[Path, int]:
    """Return the run directory and the supervisor's pid of a cluster that runs; exit when none does."""
    from runtime.supervisor.rundir import find

    data_dir = Path(os.path.abspath(data_dir))
    pid = holder(data_dir)
    if not pid:
        fail(f"no Kubus runs on {data_dir}; `kubus up` starts one", exits.NOT_RUNNING)
    return find(data_dir), pid
