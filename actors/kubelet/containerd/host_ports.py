"""Ports of the node that lead to pods: elements of an nftables map, of which each sandbox has its own.

A port that another pod has is refused by nftables itself. What is in the map of a node that was there before is found
out from the sandboxes.

Neighbours: `driver` opens and closes; `podnetwork` has the rules, `network` runs nft.
"""

from collections.abc import Awaitable, Callable, Sequence

from actors.kubelet.containerd import network, requests
from actors.kubelet.containerd.podnetwork import HostPort, add_host_ports, delete_host_ports, host_ports_of
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.runtime import PortMapping, RuntimeState, SandboxStatus

StatusOf = Callable[[str], Awaitable[SandboxStatus]]
ConfigOf = Callable[[str], Awaitable[cri.PodSandboxConfig]]


class HostPorts:
    def __init__(self, tables: str, status_of: StatusOf, config_of: ConfigOf):
        """`tables` names the node's tables."""
        self._tables, self._status_of, self._config_of = tables, status_of, config_of
        self._open: dict[str, Sequence[HostPort]] = {}  # by sandbox id

    async def find(self, state: RuntimeState) -> list[HostPort]:
        """Return the ports of all sandboxes, which are open or are to be opened again. Raises RuntimeFault."""
        used: dict[str, Sequence[HostPort]] = {}
        for sandbox in state.sandboxes:
            mappings = requests.port_mappings(await self._config_of(sandbox.id)) if sandbox.ready else ()
            if mappings:
                used[sandbox.id] = await self._of(sandbox.id, mappings)
        self._open = used
        return [port for ports in used.values() for port in ports]

    async def open(self, sandbox_id: str, mappings: Sequence[PortMapping]) -> None:
        """Lead ports to a new sandbox. Raises RuntimeFault when another pod has one of them."""
        ports = await self._of(sandbox_id, mappings)
        await network.run("nft", "-f", "-", text=add_host_ports(self._tables, ports))
        self._open[sandbox_id] = ports

    async def close(self, sandbox_id: str) -> None:
        """Idempotent."""
        ports = self._open.pop(sandbox_id, ())
        if ports:
            await network.run("nft", "-f", "-", text=delete_host_ports(self._tables, ports))

    async def _of(self, sandbox_id: str, mappings: Sequence[PortMapping]) -> list[HostPort]:
        ips = (await self._status_of(sandbox_id)).ips
        return host_ports_of(mappings, ips[0]) if ips else []
