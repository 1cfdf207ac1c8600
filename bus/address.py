"""Where actors are: endpoints of their sockets, and the directory that turns a name or a role into endpoints.

On one machine an endpoint is a Unix socket in the cluster's run directory, which only its owner may enter. Off the
machine it is `tcp://HOST:PORT/NAME`, encrypted, and NAME must have the key to it; in the clear tcp reaches no further
than loopback.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bus.errors import BusError

SOCKETS = ("work", "control", "events")
MAX_IPC_PATH_BYTES = 107  # sockaddr_un.sun_path, less its closing zero


class BadAddress(BusError):
    """An endpoint that this machine can't have, or that would be open to the network."""

    code = "bad_address"


def role_of(name: str) -> str:
    """Return `kubelet` for `kubelet@w1`."""
    return name.partition("@")[0]


def node_of(name: str) -> str:
    """Return the node of an actor: `m1` of `apiserver@m1`, and of `apiserver@m1.2`, a second process of that."""
    return name.partition("@")[2].partition(".")[0]


def ipc_endpoint(run_dir: Path, name: str, socket: str) -> str:
    """Return the endpoint of an actor's socket in a run directory; BadAddress when its path is too long."""
    path = os.path.join(run_dir, f"{name}.{socket}")
    if len(os.fsencode(path)) > MAX_IPC_PATH_BYTES:
        raise BadAddress(f"socket path {path} has more than {MAX_IPC_PATH_BYTES} bytes; use a shorter run directory")
    return f"ipc://{path}"


def named(endpoint: str, name: str) -> str:
    """Return an endpoint that says who must answer there: on tcp, whoever has the key of `name`."""
    return f"{endpoint}/{name}" if endpoint.startswith("tcp://") else endpoint


def split_name(endpoint: str) -> tuple[str, str]:
    """Return the address in an endpoint, and who must answer there; empty when it does not say."""
    if not endpoint.startswith("tcp://"):
        return endpoint, ""
    address, _, name = endpoint.removeprefix("tcp://").partition("/")
    return f"tcp://{address}", name


def check_in_the_clear(endpoint: str) -> None:
    """Refuse an address, to bind or to connect to, where strangers could listen or speak."""
    scheme, _, rest = endpoint.partition("://")
    if scheme in ("ipc", "inproc"):
        return
    if scheme != "tcp":
        raise BadAddress(f"{endpoint}: scheme must be ipc, tcp or inproc")
    host = rest.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False  # "*" or an interface name: every address of the machine, or an unknown one
    if not loopback:
        raise BadAddress(f"{endpoint}: off loopback, keys are needed (CURVE)")


class Directory:
    """All actors of a cluster by name. `remote` gives the endpoints, `tcp://HOST:PORT`, that are not in the run
    directory."""

    def __init__(self, run_dir: Path, names: Iterable[str], remote: Mapping[str, Mapping[str, str]] | None = None):
        self.run_dir = Path(run_dir)
        self.names = tuple(names)
        self.remote = {name: dict(sockets) for name, sockets in (remote or {}).items()}

    def endpoint(self, name: str, socket: str) -> str:
        """Return the endpoint of one of an actor's `SOCKETS`."""
        if (elsewhere := self.remote.get(name, {}).get(socket)) is not None:
            return named(elsewhere, name)
        return ipc_endpoint(self.run_dir, name, socket)

    def work(self, name: str) -> str:
        return self.endpoint(name, "work")

    def control(self, name: str) -> str:
        return self.endpoint(name, "control")

    def events(self, name: str) -> str:
        return self.endpoint(name, "events")

    def of_role(self, role: str) -> list[str]:
        """Return the names of a role's actors, in the config's order."""
        return [name for name in self.names if role_of(name) == role]

    def work_of_role(self, role: str) -> list[str]:
        """Return the work endpoints of a role's actors, in the config's order."""
        return [self.work(name) for name in self.of_role(role)]
