"""`kubus doctor`: what this machine lacks, what is degraded, and how to cure it."""

import json
from pathlib import Path

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail

COLOURS = {"ok": "green", "degraded": "yellow", "missing": "red"}


@click.command("doctor")
@click.option("--config", type=click.Path(path_type=Path), help="The cluster as YAML, for its ports.")
@data_dir_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(config: Path | None, data_dir: Path, output: str) -> None:
    """Check whether this machine can run containers.

    Says what is missing, what is degraded, why, and how to cure it.

    Exit status 1 when real nodes can't run here; simulated ones always can.
    """
    from actors.cluster import doctor, machine_facts
    from actors.cluster.plan import doors, load_cluster
    from runtime.config import ConfigError
    from runtime.supervisor.datadir import holder

    try:
        cluster = load_cluster(config).value
    except ConfigError as error:
        fail(str(error), exits.BAD_CONFIG)
    is_up = holder(data_dir.absolute()) != 0  # then the port is taken by this very cluster
    ports = [] if is_up else doors(cluster)
    checks = doctor.evaluate(machine_facts.gather(data_dir, ports))
    if output == "json":
        click.echo(json.dumps([check.to_json() for check in checks], indent=2))
    else:
        _print(doctor.table(checks))
    if not doctor.can_run_containers(checks):
        raise SystemExit(exits.FAILURE)


def _print(rows: list[tuple[str, str, str, str]]) -> None:
    width = max(len(name) for name, *_ in rows)
    for name, verdict, why, cure in rows:
        shown = click.style(verdict.ljust(8), fg=COLOURS.get(verdict))
        click.echo(f"{name.ljust(width)}  {shown}  {why}" + (f": {cure}" if cure else ""))
