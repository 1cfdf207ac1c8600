"""`kubus snapshot`: the whole cluster in a file, and back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, default_data_dir, fail, running

ANSWER_S = 10.0  # for a state actor to begin


@click.group("snapshot")
def command() -> None:
    """Save the cluster, and restore it.

    A snapshot holds all objects with their history, the cluster's keys and certificates, and its config. It is as
    secret as they are.
    """


@command.command("save")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_dir_option
def save(file: Path, data_dir: Path) -> None:
    """Save the running cluster to FILE.

    The cluster goes on meanwhile; what is saved is how it was at one moment.
    """
    run_dir, _ = running(data_dir)
    from actors.cluster.bringup import recorded_config
    from bus.errors import BusError
    from runtime.full_disk import room_at

    data_dir = data_dir.absolute()
    config = recorded_config(data_dir)
    assert config is not None, "what runs is recorded"
    try:
        with room_at(file.absolute()):
            revision = asyncio.run(_save(file, data_dir, run_dir, config))
    except OSError as error:
        fail(f"{file} was not written: {error}")
    except BusError as error:
        fail(f"the state was not saved: {error.message}")
    click.echo(f"Saved {file}: revision {revision}, {file.stat().st_size / 1e6:.1f} MB.")


@command.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_dir_option
@click.option("--config", type=click.Path(path_type=Path), help="The new cluster's config; without it the saved one.")
@click.option("--only", multiple=True, metavar="NODE", help="Of several machines: the nodes that this one runs.")
def restore(file: Path, data_dir: Path, config: Path | None, only: tuple[str, ...]) -> None:
    """Make a new data directory out of FILE.

    `kubus up` then starts the cluster as it was saved.

    The config may name other state actors than the saved cluster had, one or several: each of them begins with the
    saved state. On several machines, restore the same file with the same config on each, with --only.
    """
    from actors.cluster import snapshots
    from actors.cluster.plan import load_cluster
    from runtime.config import ConfigError
    from runtime.full_disk import room_at
    from runtime.supervisor.datadir import REMEDY, DataDirError

    data_dir = data_dir.absolute()
    try:
        loaded = load_cluster(config).value if config is not None else None
        plan = snapshots.plan(file, data_dir, loaded, only)
        with room_at(data_dir, REMEDY):
            snapshots.carry_out(plan)
    except ConfigError as error:
        fail(str(error), exits.BAD_CONFIG)
    except (snapshots.CannotRestore, DataDirError, OSError) as error:
        fail(str(error))
    manifest = plan.archive.manifest
    click.echo(f"Restored {manifest.cluster} as of {manifest.saved_at}, revision {manifest.revision}, to {data_dir}:")
    click.echo(f"  state actors: {', '.join(plan.here)}, of {len(plan.members)} in all")
    if not plan.has_keys:
        click.echo("  without keys, which an etcd client does not save: kubeconfigs and tokens of before are void")
    where = "" if data_dir == default_data_dir() else f" --data-dir {data_dir}"
    click.echo(f"Start it with `kubus up{''.join(f' --only {node}' for node in only)}{where}`.")


async def _save(file: Path, data_dir: Path, run_dir: Path, config: Any) -> int:
    """Save what whichever state actor answers says; return its revision. BusError, OSError."""
    from actors.cluster import snapshots
    from actors.cluster.bringup import recorded_here
    from actors.cluster.commands.talk import directory_of, sender
    from actors.cluster.identity import client_of
    from actors.state.messages import SaveRequest
    from bus.errors import StreamLost, Unavailable

    directory = directory_of(data_dir, run_dir)
    members = directory.of_role("state")
    if not members:
        fail("this cluster's state is in etcd: save it with `etcdctl snapshot save`")
    client = client_of(data_dir, config, recorded_here(data_dir), sender())
    try:
        for member in members:
            try:
                async with client.stream(directory.work(member), SaveRequest(), timeout_s=ANSWER_S) as items:
                    manifest = await snapshots.save(file, _chunks_of(items), data_dir, config.name, member)
                    return manifest.revision
            except (Unavailable, StreamLost):
                if member == members[-1]:
                    raise
        raise AssertionError("one of them answered, or the last one's error was raised")
    finally:
        client.close()


async def _chunks_of(items: Any) -> AsyncIterator[bytes]:
    async for item in items:
        yield item.data
