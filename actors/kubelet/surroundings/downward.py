"""The downward API: what a pod may learn of itself, in environment variables and in files.

Pure. Neighbours: `environment` and `volumes.content` ask; the API server validated the field paths, so an unknown one
here comes from a newer API and is refused as a config error.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from actors.api.quantity import parse_quantity
from actors.kubelet import pod as pods

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")


class ConfigError(Exception):
    """A pod asks for something that is missing or makes no sense: it waits with CreateContainerConfigError."""


def field_value(pod: pods.Pod, path: str, pod_ips: Sequence[str], host_ips: Sequence[str]) -> str:
    """Return what a fieldRef's path means for a pod; addresses are empty until they are known."""
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        return (pod["metadata"].get(subscript[1]) or {}).get(subscript[2], "")
    if path in ("metadata.labels", "metadata.annotations"):
        return _as_lines(pod["metadata"].get(path.removeprefix("metadata.")) or {})
    values = {
        "metadata.name": pods.name(pod),
        "metadata.namespace": pods.namespace(pod),
        "metadata.uid": pods.uid(pod),
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": pod_ips[0] if pod_ips else "",
        "status.podIPs": ",".join(pod_ips),
        "status.hostIP": host_ips[0] if host_ips else "",
        "status.hostIPs": ",".join(host_ips),
    }
    if path not in values:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return values[path]


def resource_value(pod: pods.Pod, container_name: str, ref: dict[str, Any], allocatable: Mapping[str, str]) -> str:
    """Return what a resourceFieldRef means: a request or limit in units of its divisor, rounded up.

    A limit that is not set is that of the pod as a whole, else the node's allocatable amount; a request that is not
    set is nothing.
    """
    container = pods.find_container(pod, ref.get("containerName") or container_name)
    if container is None:
        raise ConfigError(f"container {ref.get('containerName')} not found")
    which, _, resource = ref["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(which) or {}
    of_pod = ((pod["spec"].get("resources") or {}).get("limits") or {}).get(resource)
    fallback = of_pod or allocatable.get(resource, "0") if which == "limits" else "0"
    amount: Decimal = parse_quantity(amounts.get(resource) or fallback)
    divisor = parse_quantity(ref.get("divisor") or "1") or Decimal(1)
    return str(int((amount / divisor).to_integral_value(rounding=ROUND_CEILING)))


def _as_lines(pairs: Mapping[str, str]) -> str:
    """Render labels or annotations as files show them: sorted, a key="value" on each line, escaped as Go quotes."""
    return "\n".join(f"{name}={_quoted(pairs[name])}" for name in sorted(pairs))


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code(char)) for char in text) + '"'


def _code(char: str) -> str:
    point = ord(char)
    return f"\\x{point:02x}" if point < 0x80 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
