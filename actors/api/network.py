"""Names in the kernel that tell one cluster from another on the same machine.

Two clusters may share a kernel, and even a network namespace. What they create there (bridges, nftables tables) carries
an id made from the data dir, so that neither touches what is the other's and `kubus down --purge` finds its own again.

Neighbours: the kubelet makes the bridge, the proxy makes the table and routes to the bridge.
"""

import hashlib
from pathlib import Path

from actors.api.config import ClusterConfig, NodeConfig

ID_LENGTH = 8  # hex digits: an interface name has room for 15 characters
BRIDGE_PREFIX = "kbr-"


def instance_id(data_dir: Path | str) -> str:
    """Return the id of the cluster that lives in a data dir, whichever way the path is written."""
    path = str(Path(data_dir).resolve())
    return hashlib.sha256(path.encode()).hexdigest()[:ID_LENGTH]


def bridge_name(data_dir: Path | str, config: ClusterConfig, node: str = "") -> str:
    """Return the name of the bridge that joins the pods of a node; without one, what those of all nodes begin with."""
    return (config.network.bridge or BRIDGE_PREFIX + instance_id(data_dir)) + node_suffix(config, node)


def node_suffix(config: ClusterConfig, node: str) -> str:
    """Return what tells a node with containers from the first one on the same machine; empty for that one.

    They share the machine's network: each has a bridge, and tables, of its own.
    """
    own = config.nodes.get(node)
    if own is None:
        return ""
    beside = [name for name, it in config.nodes.items() if it.address == own.address and _has_pod_network(it)]
    index = beside.index(node) if node in beside else 0
    return str(index) if index else ""


def _has_pod_network(node: NodeConfig) -> bool:
    return "kubelet" in node.roles and node.runtime == "containerd"
