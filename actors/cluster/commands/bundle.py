"""`kubus bundle`: what another machine needs of this cluster, in a file."""

import sys
from pathlib import Path
from typing import IO

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail


@click.group("bundle")
def command() -> None:
    """Let other machines take part.

    On the machine that founded the cluster: `kubus bundle create m2 > m2.bundle`. Carry that to the other one, as
    carefully as the keys in it, and start it there with `kubus up --config X --only m2 --bundle m2.bundle`.
    """


@command.command("create")
@click.argument("nodes", nargs=-1, required=True)
@data_dir_option
@click.option("--config", type=click.Path(path_type=Path), help="Where the nodes are new: the config that has them.")
def create(nodes: tuple[str, ...], data_dir: Path, config: Path | None) -> None:
    """Print the bundle of a machine that runs NODES.

    Certificates, and keys of the bus: it is secret.
    """
    from actors.cluster.bringup import recorded_config
    from actors.cluster.machine_bundle import BadBundle, make
    from actors.cluster.plan import load_cluster
    from bus import BadKeys
    from runtime.config import ConfigError
    from runtime.full_disk import room_at

    data_dir = data_dir.absolute()
    try:
        cluster = load_cluster(config).value if config is not None else recorded_config(data_dir)
        if cluster is None:
            fail(f"no cluster has run on {data_dir}", exits.NOT_RUNNING)
        with room_at(data_dir):
            text = make(data_dir, cluster, nodes)
    except ConfigError as error:
        fail(str(error), exits.BAD_CONFIG)
    except (BadBundle, BadKeys, OSError) as error:
        fail(str(error))
    click.echo(text, nl=False)


@command.command("introduce")
@click.argument("nodes", nargs=-1, required=True)
@data_dir_option
def introduce(nodes: tuple[str, ...], data_dir: Path) -> None:
    """Print the public keys of NODES.

    They are for the machines that were there before them, and no secret.
    """
    from actors.cluster import bus_keys
    from bus import BadKeys, keys
    from bus.address import node_of

    directory = bus_keys.directory_of(data_dir.absolute())
    try:
        names = [name for name in keys.allowed(directory) if node_of(name) in nodes]
        if unknown := sorted(set(nodes) - {node_of(name) for name in names}):
            fail(f"there are no keys of {', '.join(unknown)}; `kubus bundle create` makes them")
        text = bus_keys.introduction(directory, names)
    except (BadKeys, OSError) as error:
        fail(str(error))
    click.echo(text, nl=False)


@command.command("accept")
@click.argument("file", type=click.File("rb"), default=sys.stdin.buffer)
@data_dir_option
def accept(file: IO[bytes], data_dir: Path) -> None:
    """Believe whom an introduction names.

    From now on; nothing has to be started again.
    """
    from actors.cluster import bus_keys
    from bus import BadKeys
    from runtime.full_disk import room_at

    try:
        with room_at(data_dir.absolute()):
            names = bus_keys.unpack(bus_keys.directory_of(data_dir.absolute()), file.read())
    except (BadKeys, OSError) as error:
        fail(str(error))
    click.echo(f"{', '.join(names)} are believed")
