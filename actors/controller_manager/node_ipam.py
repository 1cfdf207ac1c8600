"""A pod subnet for each Node, out of the cluster's pod network.

A subnet is taken from the moment it is chosen, before the Node shows it, and stays with the Node's name until the Node
is deleted: neither a lost answer nor a stale cache can give it to two. A new leader first takes note of what all Nodes
have.
"""

import ipaddress
from typing import Any

from actors.controller_manager.actions import Action, Emit, Failure, Patch
from actors.controller_manager.controller import Controller
from actors.controller_manager.pods import is_terminating

Object = dict[str, Any]

# The bits between the pod network and a Node's subnet; Kubernetes' bound too. It keeps the search for a free one short.
MAX_SUBNET_BITS = 16


class PoolExhausted(Exception):
    """Every subnet of the pod network is taken."""


class SubnetPool:
    """Which Node has which subnets of equal size. Pure."""

    def __init__(self, network: str, prefix_length: int):
        self._network = ipaddress.ip_network(network)
        bits = prefix_length - self._network.prefixlen
        if not 0 <= bits <= MAX_SUBNET_BITS:
            raise ValueError(
                f"node_cidr_mask {prefix_length} does not fit pod_cidr {network}: "
                f"it must be longer by 0 to {MAX_SUBNET_BITS} bits"
            )
        self._prefix_length = prefix_length
        self._count = 1 << bits
        self._size = 1 << (self._network.max_prefixlen - prefix_length)
        self._owners: dict[int, set[str]] = {}
        self._taken: dict[str, set[int]] = {}
        self._next = 0

    def occupy(self, node: str, subnet: str) -> bool:
        """The Node has this subnet; return False if that is no part of the pool, or another Node has of it."""
        indexes = self._indexes(subnet)
        for index in indexes:
            self._owners.setdefault(index, set()).add(node)
        self._taken.setdefault(node, set()).update(indexes)
        return bool(indexes) and all(len(self._owners[index]) == 1 for index in indexes)

    def allocate(self, node: str) -> str:
        """Return the Node's subnet, a free one if it has none yet. Raises PoolExhausted."""
        held = self._taken.get(node)
        if held:
            return self._subnet(min(held))
        for step in range(self._count):
            index = (self._next + step) % self._count
            if index not in self._owners:
                self._next = (index + 1) % self._count
                self._owners[index] = {node}
                self._taken[node] = {index}
                return self._subnet(index)
        raise PoolExhausted(f"all {self._count} subnets of {self._network} are taken")

    def release(self, node: str) -> bool:
        """The Node is gone; return whether that freed a subnet."""
        freed = False
        for index in self._taken.pop(node, ()):
            owners = self._owners[index]
            owners.discard(node)
            if not owners:
                del self._owners[index]
                freed = True
        return freed

    def _indexes(self, subnet: str) -> set[int]:
        """Return which subnets of the pool a network overlaps."""
        try:
            network = ipaddress.ip_network(subnet)
        except ValueError:
            return set()
        if network.version != self._network.version or not network.overlaps(self._network):
            return set()
        base = int(self._network.network_address)
        first = max((int(network.network_address) - base) // self._size, 0)
        last = min((int(network.broadcast_address) - base) // self._size, self._count - 1)
        return set(range(first, last + 1))

    def _subnet(self, index: int) -> str:
        address = self._network.network_address + index * self._size
        return f"{address}/{self._prefix_length}"


def reconcile(node: Object, pool: SubnetPool) -> list[Action]:
    """Return the write that gives a Node its subnet. Raises PoolExhausted."""
    metadata, current = node["metadata"], node["spec"].get("podCIDR")
    if current:
        pool.occupy(metadata["name"], current)
        return []
    if is_terminating(node):
        return []
    subnet = pool.allocate(metadata["name"])
    patch = {
        "metadata": {"uid": metadata["uid"]},
        "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
    }
    return [Patch("nodes", None, metadata["name"], patch)]


class NodeIpamController(Controller):
    name = "node-ipam"

    def set_up(self) -> None:
        network = self.around.config.network
        self._pool = SubnetPool(network.pod_cidr, network.node_cidr_mask)
        self._waiting: set[str] = set()
        self.nodes = self.watch("nodes", self._keys)

    async def begin(self) -> None:
        for node in self.nodes.list():
            subnet = node["spec"].get("podCIDR")
            if subnet and not self._pool.occupy(node["metadata"]["name"], subnet):
                self.log.warning("a node's pod subnet is outside the pool or not its own alone", podCIDR=subnet)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        node = self.nodes.get(key)
        if node is None:
            return []
        try:
            actions = reconcile(node, self._pool)
        except PoolExhausted:
            self._waiting.add(key)
            return [Emit(node, "Normal", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")]
        self._waiting.discard(key)
        return actions

    def _keys(self, key: str, old: Object | None, new: Object | None) -> set[str]:
        if new is None:
            self._waiting.discard(key)
            return set(self._waiting) if self._pool.release(key) else set()
        same = old is not None and old["spec"] == new["spec"] and old["metadata"]["uid"] == new["metadata"]["uid"]
        return set() if same else {key}
