"""The kubeconfig of the cluster's administrator: certificates embedded, so that the one file can be carried away.

Its server is the balancer where there is one, so that it outlives any API server; else the first API server. With
several API servers each also has a context of its own, NAME-NODE, for whoever wants to talk to that one.

`server_url` knows which port was taken: with port 0 in the config the actor writes the address it got to
DATA/actors/NAME/endpoint once it listens; before that there is no URL, and `EndpointUnknown` says so.

Neighbours: `pki` makes the certificates; the API server actor writes the endpoint file.
"""

import base64
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from actors.api.addresses import (
    Address,
    apiserver_address,
    balancer_bind,
    nodes_of_role,
    parse_address,
    reachable,
)
from actors.api.config import ClusterConfig
from actors.cluster.pki import Pki

FILE_MODE = 0o600  # it holds the administrator's private key


class EndpointUnknown(Exception):
    """The API server has not said yet which port it got."""


def path(data_dir: Path) -> Path:
    """Where the cluster's kubeconfig lies."""
    return Path(data_dir) / "kubeconfig"


def server_url(data_dir: Path, config: ClusterConfig, here: Collection[str] = ()) -> str:
    """The URL that a client on this machine uses; EndpointUnknown before a door on port 0 listens.

    `here` are the nodes of this machine; empty: all of them.
    """
    return _url(_first_known(data_dir, _doors(config, here or config.nodes)))


def servers(data_dir: Path, config: ClusterConfig) -> dict[str, str]:
    """URLs of the API servers by node, as far as they are known."""
    found = {}
    for node in nodes_of_role(config, "apiserver"):
        address = _known(data_dir, f"apiserver@{node}", apiserver_address(config, node))
        if address is not None:
            found[node] = _url(address)
    return found


def text(pki: Pki, server: str, cluster: str, user: str = "admin", others: Mapping[str, str] | None = None) -> str:
    """The kubeconfig as YAML, with the certificates of `user` (NAME.crt and NAME.key of the PKI) embedded.

    `others` are URLs by node, of servers that get a context of their own.
    """
    login = f"{cluster}-{user}"
    urls = {cluster: server, **{f"{cluster}-{node}": url for node, url in (others or {}).items()}}
    authority = _encoded(pki.ca_crt)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"certificate-authority-data": authority, "server": url}}
            for name, url in urls.items()
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
        "contexts": [{"name": name, "context": {"cluster": name, "user": login}} for name in urls],
        "current-context": cluster,
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(data_dir: Path, config: ClusterConfig, here: Collection[str] = ()) -> Path:
    """Write DATA/kubeconfig; return its path. Raises EndpointUnknown, OSError."""
    target = path(data_dir)
    known = servers(data_dir, config)
    others = known if len(nodes_of_role(config, "apiserver")) > 1 else {}
    content = text(Pki(Path(data_dir) / "pki"), server_url(data_dir, config, here), config.name, others=others)
    if target.exists() and target.read_text() == content:
        return target
    beside = target.with_name(target.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
        file.write(content)
    beside.replace(target)
    return target


def _doors(config: ClusterConfig, here: Collection[str]) -> dict[str, Address]:
    """Where clients may go in, by actor, the best first: a balancer of this machine, else the API servers."""
    balancers = [node for node in nodes_of_role(config, "balancer") if node in here]
    if balancers:
        return {f"balancer@{node}": reachable(balancer_bind(config, node)) for node in balancers}
    nodes = sorted(nodes_of_role(config, "apiserver"), key=lambda node: node not in here)
    return {f"apiserver@{node}": apiserver_address(config, node) for node in nodes}


def _first_known(data_dir: Path, doors: Mapping[str, Address]) -> Address:
    for name, address in doors.items():
        if (known := _known(data_dir, name, address)) is not None:
            return known
    raise EndpointUnknown(f"none of {', '.join(doors)} listens yet")


def _known(data_dir: Path, name: str, address: Address) -> Address | None:
    """Return an actor's address; for port 0 the one that it wrote down, None before it has."""
    if address.port:
        return address
    file = Path(data_dir) / "actors" / name / "endpoint"
    return reachable(parse_address(file.read_text())) if file.exists() else None


def _url(address: Address) -> str:
    return f"https://{address}"


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
