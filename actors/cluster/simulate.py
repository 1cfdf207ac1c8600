"""Real nodes into simulated ones, for a machine that can't run containers.

Pods then go through their phases by rule; nothing is executed, and there is no network to proxy.
"""

import msgspec

from actors.api.config import ClusterConfig, NodeConfig


def has_real_nodes(config: ClusterConfig) -> bool:
    """Whether this cluster would run containers."""
    return any(runs_containers(node) for node in config.nodes.values())


def runs_containers(node: NodeConfig) -> bool:
    return "kubelet" in node.roles and node.runtime != "simulated"


def simulated(config: ClusterConfig) -> ClusterConfig:
    """Return the same cluster with simulated nodes."""
    nodes = {name: _simulated_node(node) for name, node in config.nodes.items()}
    return msgspec.structs.replace(config, nodes={name: node for name, node in nodes.items() if node.roles})


def _simulated_node(node: NodeConfig) -> NodeConfig:
    roles = [role for role in node.roles if role != "proxy"]
    return msgspec.structs.replace(node, roles=roles, runtime="simulated", containerd_socket="")
