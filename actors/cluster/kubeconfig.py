"""The kubeconfig of the cluster's administrator: certificates embedded, so that the one file can be carried away.

`server_url` knows which port the API server took: with port 0 in the config the actor writes the address it got to
DATA/actors/NAME/endpoint once it listens; before that there is no URL, and `EndpointUnknown` says so.

Neighbours: `pki` makes the certificates; the API server actor writes the endpoint file.
"""

import base64
import ipaddress
import os
from pathlib import Path

import yaml

from actors.api.config import ClusterConfig
from actors.cluster.pki import Pki

FILE_MODE = 0o600  # it holds the administrator's private key


class EndpointUnknown(Exception):
    """The API server has not said yet which port it got."""


def path(data_dir: Path) -> Path:
    """Where the cluster's kubeconfig lies."""
    return Path(data_dir) / "kubeconfig"


def server_url(data_dir: Path, config: ClusterConfig) -> str:
    """The URL that a client on this machine uses; EndpointUnknown before an API server on port 0 listens."""
    bind = config.apiserver.bind
    port = config.apiserver.port
    if port == 0:
        bind, port = _endpoint(data_dir, config)
    return f"https://{_reachable(bind)}:{port}"


def text(pki: Pki, server: str, cluster: str, user: str = "admin") -> str:
    """The kubeconfig as YAML, with the certificates of `user` (NAME.crt and NAME.key of the PKI) embedded."""
    login = f"{cluster}-{user}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster, "cluster": {"certificate-authority-data": _encoded(pki.ca_crt), "server": server}}
        ],
        "users": [
            {
                "name": login,
                "user": {
                    "client-certificate-data": _encoded(pki.crt(user)),
                    "client-key-data": _encoded(pki.key(user)),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": login}}],
        "current-context": cluster,
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(data_dir: Path, config: ClusterConfig) -> Path:
    """Write DATA/kubeconfig; return its path. Raises EndpointUnknown, OSError."""
    target = path(data_dir)
    content = text(Pki(Path(data_dir) / "pki"), server_url(data_dir, config), config.name)
    if target.exists() and target.read_text() == content:
        return target
    beside = target.with_name(target.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
        file.write(content)
    beside.replace(target)
    return target


def _endpoint(data_dir: Path, config: ClusterConfig) -> tuple[str, int]:
    """Return the (address, port) that the first API server of the config wrote down."""
    names = [f"apiserver@{node}" for node, its in config.nodes.items() if "apiserver" in its.roles]
    for name in names:
        file = Path(data_dir) / "actors" / name / "endpoint"
        if file.exists():
            host, _, port = file.read_text().strip().rpartition(":")
            return host.strip("[]"), int(port)
    raise EndpointUnknown(f"none of {', '.join(names) or 'no API server'} listens yet")


def _reachable(bind: str) -> str:
    """An address to connect to for an address that was bound: the loopback for all-zeros, brackets for IPv6."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return bind
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return bind if address.version == 4 else f"[{bind}]"


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
