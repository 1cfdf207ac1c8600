"""What a machine needs of a cluster to take part in it, in one file: carried there by hand, and secret.

The machine that founds a cluster makes the certificates' authorities and everybody's keys for the bus. Another machine
gets those of its own nodes: the keys of its actors, the public keys of all others, and, where it runs masters, the
authorities too, for an API server there has to be believed as any other. A machine of workers gets no authority, and
no command line that could speak for an administrator.

Neighbours: `bus_keys` and `pki` own what is in it; `commands.bundle` makes it, `bringup` unpacks it.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.api.config import ClusterConfig
from actors.cluster import bus_keys
from actors.cluster.pki import CERTIFICATE_MODE, KEY_MODE, Pki, write_file

FORMAT = 1
MASTER_ROLES = frozenset({"state", "apiserver", "scheduler", "controller-manager"})
AUTHORITY = "ca.crt"  # what everybody needs, to know an API server by
FILES_OF_MASTERS = ("ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key")
FILES_OF_ETCD = ("etcd/ca.crt", "etcd/ca.key")  # of masters, where the state is served to etcd's clients


class BadBundle(Exception):
    """A bundle that can't be made or unpacked. The message is for the user."""


class MachineBundle(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    cluster: str
    nodes: list[str]
    keys: bus_keys.Bundle
    files: dict[str, str]  # of the PKI, by name


def make(data_dir: Path, config: ClusterConfig, nodes: Sequence[str]) -> bytes:
    """Return the bundle of a machine that runs these nodes. Raises BadBundle, BadKeys, OSError."""
    for node in nodes:
        if node not in config.nodes:
            raise BadBundle(f"no node {node} in this cluster's config; there are {', '.join(config.nodes)}")
    pki = Pki(data_dir / "pki")
    if not pki.ca_key.exists():
        raise BadBundle(f"{pki.ca_key} is not here: bundles are made where the cluster was founded")
    directory = bus_keys.directory_of(data_dir)
    bus_keys.prepare(directory, [f"{role}@{name}" for name in nodes for role in config.nodes[name].roles])
    keys = msgspec.json.decode(bus_keys.bundle(directory, *nodes), type=bus_keys.Bundle)
    is_master = any(is_master_node(config, node) for node in nodes)
    if not is_master:
        keys.secret = {name: key for name, key in keys.secret.items() if not name.startswith("cli@")}
    names = (*FILES_OF_MASTERS, *(FILES_OF_ETCD if config.state.etcd else ())) if is_master else (AUTHORITY,)
    files = {name: (pki.directory / name).read_text() for name in names}
    bundle = MachineBundle(FORMAT, config.name, list(nodes), keys, files)
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n"


def unpack(data_dir: Path, config: ClusterConfig, here: Sequence[str], text: bytes) -> None:
    """Keep what is in a bundle. Raises BadBundle when it is for others, BadKeys, OSError."""
    try:
        bundle = msgspec.json.decode(text, type=MachineBundle)
    except msgspec.DecodeError as error:
        raise BadBundle(f"this is no bundle: {error}") from error
    if bundle.format != FORMAT:
        raise BadBundle(f"the bundle has format {bundle.format}; this program knows {FORMAT}")
    if bundle.cluster != config.name:
        raise BadBundle(f"the bundle is of the cluster {bundle.cluster!r}, the config of {config.name!r}")
    if missing := [node for node in here if node not in bundle.nodes]:
        raise BadBundle(f"the bundle is for {', '.join(bundle.nodes)}, and not for {', '.join(missing)}")
    if strange := bundle.files.keys() - {*FILES_OF_MASTERS, *FILES_OF_ETCD}:
        raise BadBundle(f"the bundle holds {min(strange)!r}, which no bundle should")
    pki = Pki(data_dir / "pki")
    if pki.ca_crt.exists() and pki.ca_crt.read_text() != bundle.files.get(AUTHORITY):
        raise BadBundle(f"{pki.ca_crt} is of another cluster than the bundle; another data directory is needed")
    pki.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, content in bundle.files.items():
        mode = KEY_MODE if name.endswith(".key") else CERTIFICATE_MODE
        (pki.directory / name).parent.mkdir(mode=0o755, exist_ok=True)
        write_file(pki.directory / name, content.encode(), mode)
    bus_keys.unpack(bus_keys.directory_of(data_dir), msgspec.json.encode(bundle.keys))


def is_master_node(config: ClusterConfig, node: str) -> bool:
    return not MASTER_ROLES.isdisjoint(config.nodes[node].roles)
