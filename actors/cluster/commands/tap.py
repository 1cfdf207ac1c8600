"""`kubus tap`: listen to what actors publish."""

import contextlib
import json
from pathlib import Path

import click

from actors.cluster.commands.shared_options import data_dir_option, running


@click.command("tap")
@click.argument("topic", default="")
@data_dir_option
def command(topic: str, data_dir: Path) -> None:
    """Print what actors publish.

    Hints of TOPIC (a prefix; all without it) from every actor, as JSON lines, until Ctrl-C.
    """
    run_dir, _ = running(data_dir)
    with contextlib.suppress(KeyboardInterrupt):  # the usual end, wherever it strikes
        _print_hints(run_dir, topic)


def _print_hints(run_dir: Path, topic: str) -> None:
    from actors.cluster.commands.talk import client, status
    from bus.address import ipc_endpoint

    with client() as blocking:
        answer = status(blocking, run_dir, memory=False)
        names = ["supervisor", *(row.name for row in answer.actors if row.role != "containerd")]
        endpoints = [ipc_endpoint(run_dir, name, "events") for name in names]
        for hint in blocking.hints(endpoints, topic):
            line = {"topic": hint.topic, "sender": hint.sender, "sequence": hint.sequence, "gap": hint.gap}
            click.echo(json.dumps({**line, "body": hint.body}, default=repr))
