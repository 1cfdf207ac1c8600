"""`kubus restart`: stop actors in order and start them anew, one after the other."""

from pathlib import Path
from typing import Any

import click

from actors.cluster.commands.shared_options import data_dir_option, fail, running


@click.command("restart")
@click.argument("names", nargs=-1)
@click.option("--masters", is_flag=True, help="All masters of this machine, one at a time.")
@data_dir_option
def command(names: tuple[str, ...], masters: bool, data_dir: Path) -> None:
    """Stop actors in order, and start them anew.

    NAMES are actors, as scheduler@m1, or nodes: then all of their actors. Each has to serve again before the next one
    is stopped, so that `kubus restart m1 m2 m3` renews three masters without a failed request.
    """
    run_dir, _ = running(data_dir)
    from actors.cluster.commands.member import members_of
    from actors.cluster.commands.talk import client, find_actor, status, supervisor_endpoint
    from actors.cluster.rolling import NotBack, Rolling, in_order
    from runtime.supervisor.messages import RestartRequest

    with client() as blocking:

        def look() -> Any:
            return status(blocking, run_dir, memory=False).actors

        rows = look()
        wanted = list(names)
        if masters:
            wanted += list(dict.fromkeys(row.node for row in rows if row.role in ("state", "apiserver")))
        if not wanted:
            raise click.UsageError("which actor or node? --masters are all masters")
        nodes = {row.node for row in rows}
        wanted = [each if each in nodes else find_actor([row.name for row in rows], each) for each in wanted]
        group = members_of(data_dir)
        rolling = Rolling(
            lambda name: blocking.request(supervisor_endpoint(run_dir), RestartRequest(name)), look, group, click.echo
        )
        try:
            rolling.restart(in_order(rows, wanted))
        except NotBack as error:
            fail(str(error))
