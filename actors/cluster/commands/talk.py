"""How commands talk to a running cluster: who they are, where to ask, and what they say when nobody answers."""

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.cluster.commands.shared_options import fail
from bus.address import Directory, ipc_endpoint
from bus.blocking import BlockingClient
from bus.errors import BusError, RemoteError
from runtime.supervisor import messages

TIMEOUT_S = 5.0


def sender() -> str:
    """Return the name under which the command line speaks."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"cli@{user}-{socket.gethostname()}"


@contextmanager
def client() -> Iterator[BlockingClient]:
    """A client whose errors end the command with a sentence instead of a traceback."""
    with BlockingClient(sender()) as blocking:
        try:
            yield blocking
        except RemoteError as error:
            fail(error.message + (f" ({error.kind})" if error.kind else ""))
        except BusError as error:
            fail(f"{error.code}: {error.message}")


def directory_of(data_dir: Path, run_dir: Path) -> Directory:
    """Return where the actors of the cluster that runs on a data directory are."""
    from actors.api.addresses import bus_endpoints
    from actors.cluster.bringup import recorded_config, recorded_here
    from actors.cluster.compose import actor_names

    config = recorded_config(Path(data_dir).absolute())
    if config is None:
        return Directory(run_dir, [])
    local = actor_names(config, recorded_here(Path(data_dir).absolute()))
    elsewhere = {name: sockets for name, sockets in bus_endpoints(config).items() if name not in local}
    return Directory(run_dir, actor_names(config), elsewhere)


def supervisor_endpoint(run_dir: Path) -> str:
    return ipc_endpoint(run_dir, messages.NAME, "control")


def status(blocking: BlockingClient, run_dir: Path, *, memory: bool) -> messages.Status:
    """Ask the supervisor how everybody is."""
    answer: Any = blocking.request(
        supervisor_endpoint(run_dir), messages.StatusRequest(memory=memory), timeout_s=TIMEOUT_S
    )
    assert isinstance(answer, messages.Status)
    return answer


def find_actor(names: list[str], wanted: str) -> str:
    """Return the full name of an actor, given that or its role alone where only one actor has it."""
    if wanted in names:
        return wanted
    of_role = [name for name in names if name.partition("@")[0] == wanted]
    if len(of_role) == 1:
        return of_role[0]
    if of_role:
        fail(f"{wanted} is one of {', '.join(of_role)}")
    import difflib

    close = difflib.get_close_matches(wanted, names, 1)
    hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"
    return fail(f"no actor {wanted}{hint}")
