"""What a command in a container is started with, out of what its container was made of. Pure.

A command inherits the container's process: user, capabilities, environment, limits, working directory. Its arguments
and terminal are its own, and a terminal has a TERM.

Neighbours: `streaming` starts it. Source: the OCI runtime specification's `process`.
"""

import json
from collections.abc import Sequence
from typing import Any

PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
TERM = "TERM=xterm"


def process_spec(container_spec: bytes, command: Sequence[str], tty: bool) -> bytes:
    """Return the process document, as JSON; ValueError when the container's own can't be read."""
    try:
        process: dict[str, Any] = dict(json.loads(container_spec)["process"])
    except (KeyError, TypeError) as error:
        raise ValueError("the container's specification has no process") from error
    process["args"] = list(command)
    process["terminal"] = tty
    process.pop("consoleSize", None)
    if tty:
        process["env"] = [item for item in process.get("env") or () if not item.startswith("TERM=")] + [TERM]
    return json.dumps(process).encode()


def network_namespace(sandbox_info: str) -> str:
    """Return the path of a sandbox's network namespace, from CRI's verbose status; empty when it has the node's."""
    info = json.loads(sandbox_info)
    linux = (info.get("runtimeSpec") or {}).get("linux") or {}
    for namespace in linux.get("namespaces") or ():
        if namespace.get("type") == "network":
            return namespace.get("path") or f"/proc/{info['pid']}/ns/net"
    return ""
