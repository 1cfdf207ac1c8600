"""As whom the supervisor and the command line speak to actors, of this machine and of others.

On one machine the run directory's mode says that they may. Between machines a key says who speaks: a master's command
line has one of its own, and a machine of workers speaks as one of its kubelets, who may look but not change.

Neighbours: `bus_keys` makes the keys.
"""

from collections.abc import Collection
from pathlib import Path

from actors.api.config import ClusterConfig
from actors.cluster import bus_keys
from bus import BadKeys, Client, Keyring, ZmqTransport

ROLES = ("cli", "kubelet", "proxy")  # who may ask an API server, the mightiest first


def client_of(data_dir: Path, config: ClusterConfig, here: Collection[str], local_name: str) -> Client:
    """Return a client that reaches all actors; `local_name` is who speaks where all is on one machine."""
    if not any(node.address for node in config.nodes.values()):
        return Client(local_name)
    directory = bus_keys.directory_of(data_dir)
    for role in ROLES:
        for node in here or config.nodes:
            keyring = Keyring(directory, f"{role}@{node}")
            try:
                keyring.secret()
            except BadKeys:
                continue
            return Client(keyring.name, ZmqTransport(keyring))
    return Client(local_name)
