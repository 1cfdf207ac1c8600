"""The runtime handler that a pod's RuntimeClass names.

Read at each start of a sandbox, which is rare: so no watch. Neighbour: `starter`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from actors.api.errors import ApiError
from actors.kubelet import pod as pods

RUNTIME_CLASSES = "runtimeclasses.node.k8s.io"

GetObject = Callable[[str, str], Awaitable[dict[str, Any]]]  # (resource, name) -> object


class RuntimeClassUnknown(Exception):
    """The pod's RuntimeClass does not exist, or may not be read. The message is for an event."""


async def handler_of(pod: pods.Pod, get: GetObject) -> str:
    """Return the handler's name; empty is the runtime's default. RuntimeClassUnknown, or BusError."""
    name = pod["spec"].get("runtimeClassName")
    if not name:
        return ""
    try:
        found = await get(RUNTIME_CLASSES, name)
    except ApiError as error:
        raise RuntimeClassUnknown(f'failed to get sandbox runtime: RuntimeClass "{name}": {error.message}') from error
    return str(found["handler"])
