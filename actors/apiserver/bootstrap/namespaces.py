"""The namespaces that every cluster has.

Neighbours: `ensure` creates what is missing.
"""

from typing import Any

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def namespaces() -> list[dict[str, Any]]:
    return [{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}} for name in SYSTEM_NAMESPACES]
