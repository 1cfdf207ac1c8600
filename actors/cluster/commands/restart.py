"""`kubus restart`: stop an actor in order and start it anew."""

from pathlib import Path

import click

from actors.cluster.commands.shared_options import data_dir_option, running


@click.command("restart")
@click.argument("actor")
@data_dir_option
def command(actor: str, data_dir: Path) -> None:
    """Stop ACTOR in order, and start it anew."""
    run_dir, _ = running(data_dir)
    from actors.cluster.commands.talk import client, find_actor, status, supervisor_endpoint
    from runtime.supervisor.messages import RestartRequest

    with client() as blocking:
        names = [row.name for row in status(blocking, run_dir, memory=False).actors]
        name = find_actor(names, actor)
        blocking.request(supervisor_endpoint(run_dir), RestartRequest(name))
    click.echo(f"{name} restarts")
