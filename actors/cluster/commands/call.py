"""`kubus call`: ask an actor something over the bus, with JSON in and out."""

import json
from pathlib import Path
from typing import Any

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail, running


@click.command("call")
@click.argument("actor")
@click.argument("method")
@click.argument("argument", default="{}", metavar="[JSON]")
@data_dir_option
@click.option("--timeout", type=click.FloatRange(0.001), default=10.0, show_default=True, help="Seconds to wait.")
def command(actor: str, method: str, argument: str, data_dir: Path, timeout: float) -> None:
    """Ask an actor something over the bus.

    Calls METHOD of ACTOR with the fields in JSON, and prints its answer as JSON.

    \b
    kubus call state@m1 control.inspect
    kubus call state state.range '{"range": {"key": "/registry/pods/", "range_end": "/registry/pods0"}}'
    kubus call kubelet@w1 control.failpoint '{"name": "before-status", "action": "crash"}'

    Bytes are text, or {"base64": "..."}. Each item of a stream is printed on a line, until Ctrl-C.
    """
    run_dir, _ = running(data_dir)
    from actors.cluster.commands.talk import client, find_actor, status
    from actors.cluster.record_json import BadArgument, of_record, to_record

    with client() as blocking:
        names = ["supervisor"]
        if actor not in names:
            names += [row.name for row in status(blocking, run_dir, memory=False).actors if row.role != "containerd"]
        name = find_actor(names, actor)
        endpoint, kind = _method(data_dir, run_dir, name, method)
        try:
            request = to_record(json.loads(argument), kind)
        except json.JSONDecodeError as error:
            fail(f"{method}: its argument is not JSON: {error}", exits.USAGE)
        except BadArgument as error:
            fail(f"{method}: {error}", exits.USAGE)
        if not kind.stream:
            _show(of_record(blocking.request(endpoint, request, timeout_s=timeout)), indent=2)
            return
        try:
            for item in blocking.stream(endpoint, request, timeout_s=timeout):
                _show(of_record(item))
        except KeyboardInterrupt:
            return


def _show(value: Any, indent: int | None = None) -> None:
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def _method(data_dir: Path, run_dir: Path, name: str, method: str) -> tuple[str, Any]:
    """Return where a method is answered, and the request that it takes."""
    from actors.cluster import methods
    from actors.cluster.commands.talk import directory_of
    from bus.address import role_of

    if name == "supervisor":
        offered = {"control": methods.of_supervisor()}
    else:
        offered = {"control": methods.of_control(), "work": methods.of_role(role_of(name))}
    for socket, requests in offered.items():
        if method in requests:
            return directory_of(data_dir, run_dir).endpoint(name, socket), requests[method]
    known = [known for requests in offered.values() for known in requests]
    return fail(f"{name} has no method {method}; it has {', '.join(known)}", exits.USAGE)
