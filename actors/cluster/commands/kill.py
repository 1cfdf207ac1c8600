"""`kubus kill`: send a signal to an actor's process. The supervisor starts it again."""

import signal
from pathlib import Path

import click

from actors.cluster.commands.shared_options import data_dir_option, running


def signal_number(text: str) -> int:
    """Return the number of a signal given as number or name, with or without SIG; click.BadParameter otherwise."""
    if text.isdigit() and int(text) in signal.valid_signals():
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    try:
        return signal.Signals[name].value
    except KeyError:
        raise click.BadParameter(f"{text} is not a signal") from None


@click.command("kill")
@click.argument("actor")
@data_dir_option
@click.option("--signal", "-s", "number", default="KILL", show_default=True, help="Name or number.")
def command(actor: str, data_dir: Path, number: str) -> None:
    """Send a signal to an actor's process.

    The supervisor starts it again when that ends it.
    """
    wanted = signal_number(number)
    run_dir, _ = running(data_dir)
    from actors.cluster.commands.talk import client, find_actor, status, supervisor_endpoint
    from runtime.supervisor.messages import KillRequest

    with client() as blocking:
        names = [row.name for row in status(blocking, run_dir, memory=False).actors]
        name = find_actor(names, actor)
        killed = blocking.request(supervisor_endpoint(run_dir), KillRequest(name, wanted))
    click.echo(f"{name} (pid {killed.pid}) got {signal.Signals(wanted).name}")
