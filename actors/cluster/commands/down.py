"""`kubus down`: stop everything in order; with --purge, leave nothing behind."""

import os
import time
from pathlib import Path

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail
from runtime.supervisor.datadir import holder

POLL_S = 0.02


@click.command("down")
@data_dir_option
@click.option("--purge", is_flag=True, help="Also remove containers, networks, rules, and the data directory.")
@click.option("--timeout", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds to wait.")
def command(data_dir: Path, purge: bool, timeout: float) -> None:
    """Stop the cluster.

    Without --purge containers keep running, and everything is there again after the next `kubus up`.
    """
    data_dir = data_dir.absolute()
    pid = holder(data_dir)
    if pid:
        _stop(data_dir, pid, timeout)
    elif not purge:
        fail(f"no Kubus runs on {data_dir}", exits.NOT_RUNNING)
    if purge:
        _purge(data_dir)


def _stop(data_dir: Path, pid: int, timeout_s: float) -> None:
    from actors.cluster.commands.talk import client, supervisor_endpoint
    from runtime.supervisor.messages import StopRequest
    from runtime.supervisor.rundir import find

    begun = time.monotonic()
    with client() as blocking:
        blocking.request(supervisor_endpoint(find(data_dir)), StopRequest())
    while holder(data_dir) == pid:
        if time.monotonic() - begun > timeout_s:
            fail(f"the supervisor (pid {pid}) is still stopping after {timeout_s:g} s")
        time.sleep(POLL_S)  # another process's lock is not something to wait on
    click.echo(f"Stopped in {time.monotonic() - begun:.2f} s.")


def _purge(data_dir: Path) -> None:
    from actors.cluster import purge

    if not os.path.lexists(data_dir):
        click.echo(f"Nothing is left: {data_dir} does not exist.")
        return
    try:
        failures = purge.purge_data_dir(data_dir)
    except purge.PurgeError as error:
        fail(str(error))
    if failures:
        fail("could not remove everything:\n  " + "\n  ".join(failures))
    click.echo(f"Removed {data_dir} and all that the cluster made.")
