"""A user out of a bus identity: the component that an actor's role stands for.

`scheduler@m1` is system:kube-scheduler, `kubelet@w1` is system:node:w1 in system:nodes. The bus has checked that the
sender is who it says. A kubelet that plays several simulated nodes speaks for each of them.

Neighbours: `bus_front` asks for every request; `node_authorizer` uses `Identity.nodes`.
"""

from actors.api.config import ClusterConfig
from actors.apiserver.call import AUTHENTICATED, MASTERS, Identity

NODES = "system:nodes"

_USER_OF_ROLE = {
    "scheduler": "system:kube-scheduler",
    "controller-manager": "system:kube-controller-manager",
    "proxy": "system:kube-proxy",
    "dns": "system:kube-dns",
    "balancer": "system:kubus-balancer",
}
_MASTER_ROLES = frozenset({"cli", "supervisor"})  # whoever may open the run directory of mode 0700 owns the cluster


class BusIdentities:
    """Identities of actors, made once each."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._known: dict[str, Identity] = {}

    def of(self, sender: str, role: str) -> Identity | None:
        """Return who an actor is; None for a role that has no business here."""
        known = self._known.get(sender)
        if known is None:
            known = self._make(sender, role)
            if known is not None and role not in _MASTER_ROLES:
                self._known[sender] = known
        return known

    def _make(self, sender: str, role: str) -> Identity | None:
        if role == "kubelet":
            node = sender.partition("@")[2]
            return Identity(f"system:node:{node}", (NODES, AUTHENTICATED), nodes=frozenset(self._played_by(node)))
        if role in _MASTER_ROLES:
            return Identity(f"system:{role}", (MASTERS, AUTHENTICATED))
        user = _USER_OF_ROLE.get(role)
        return Identity(user, (AUTHENTICATED,)) if user else None

    def _played_by(self, node: str) -> list[str]:
        """The Nodes that a kubelet registers: its own, or NAME-0 and on when it plays several."""
        config = self._config.nodes.get(node)
        if config is None or config.count <= 1:
            return [node]
        return [node, *(f"{node}-{number}" for number in range(config.count))]
