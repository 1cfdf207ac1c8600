"""`kubus member`: list, add and remove the members of the group of state actors."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail, running

WITHIN_S = 10.0  # for a leader to be found, and a change to be stored


@click.group("member", short_help="The members that keep the cluster's state.")
def command() -> None:
    """List, add and remove the members that keep the cluster's state.

    Each of them is a state actor, named state@NODE.
    """


@command.command("list")
@data_dir_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_(data_dir: Path, output: str) -> None:
    """Show the members as their leader sees them."""
    from actors.state.messages import MemberListRequest

    _show(_ask(data_dir, MemberListRequest()), output)


@command.command("add")
@click.argument("name")
@data_dir_option
@click.option("--timeout", type=click.FloatRange(1), default=600.0, show_default=True, help="Seconds to wait.")
def add(name: str, data_dir: Path, timeout: float) -> None:
    """Add NAME, a state actor that runs and waits to be added.

    It votes once it has been given everything. `kubus up --join` starts a master and does this.
    """
    from actors.cluster import members

    name = _full_name(name)

    def add_known(client: Any, endpoints: Mapping[str, str]) -> Any:
        if name not in endpoints:
            fail(f"no state actor {name} in this cluster's config; there are {', '.join(endpoints)}")
        return members.add(client, endpoints, name, within_s=timeout)

    _show(_run(data_dir, add_known), "table")


@command.command("remove")
@click.argument("name")
@data_dir_option
def remove(name: str, data_dir: Path) -> None:
    """Remove NAME from the group.

    Refused while the others would not be a majority without it. Its node can then be taken out of the config. To come
    back it has to begin with an empty directory, and be added again.
    """
    from actors.state.messages import MemberRemoveRequest

    name = _full_name(name)
    _show(_ask(data_dir, MemberRemoveRequest(name), answer_s=WITHIN_S), "table")


def members_of(data_dir: Path) -> Callable[[], Any] | None:
    """Return what asks for the members of the group; None for a group of one, which nobody need be asked about."""
    from actors.api.addresses import nodes_of_role
    from actors.cluster.bringup import recorded_config
    from actors.state.messages import MemberListRequest

    config = recorded_config(data_dir.absolute())
    if config is None or len(nodes_of_role(config, "state")) <= 1:
        return None
    return lambda: _ask(data_dir, MemberListRequest())


def _full_name(name: str) -> str:
    return name if "@" in name else f"state@{name}"


def _ask(data_dir: Path, request: Any, **options: float) -> Any:
    from actors.cluster import members

    def ask(client: Any, endpoints: Mapping[str, str]) -> Any:
        return members.ask_leader(client, endpoints, request, within_s=WITHIN_S, **options)

    return _run(data_dir, ask)


def _run(data_dir: Path, ask: Any) -> Any:
    """Run what asks the state actors of the cluster that runs here."""
    run_dir, _ = running(data_dir)
    from actors.cluster.bringup import recorded_config, recorded_here
    from actors.cluster.commands.talk import directory_of, sender
    from actors.cluster.identity import client_of
    from actors.cluster.members import NoLeader
    from bus.errors import BusError

    data_dir = data_dir.absolute()
    config = recorded_config(data_dir)
    assert config is not None, "what runs is recorded"

    directory = directory_of(data_dir, run_dir)
    endpoints = {name: directory.work(name) for name in directory.of_role("state")}
    if not endpoints:
        fail("this cluster's state is in etcd, whose members `etcdctl member list` shows")

    async def run() -> Any:
        client = client_of(data_dir, config, recorded_here(data_dir), sender())
        try:
            return await ask(client, endpoints)
        finally:
            client.close()

    try:
        return asyncio.run(run())
    except NoLeader as error:
        return fail(f"nobody leads the state: {error}", exits.NOT_READY)
    except BusError as error:
        return fail(error.message)


def _show(reply: Any, output: str) -> None:
    import json

    import msgspec

    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins([msgspec.structs.asdict(each) for each in reply.members]), indent=2))
        return
    rows = [("NAME", "ROLE", "ACTIVE", "BEHIND")]
    for each in reply.members:
        role = "leader" if each.name == reply.leader else "voter" if each.votes else "learner"
        rows.append((each.name, role, "yes" if each.is_active else "no", str(each.behind)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
