"""Events about Services whose addresses or ports are not as they should be, each told once.

Neighbours: `address_upkeep` and `port_upkeep` find what is wrong.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from actors.api.meta import now_rfc3339
from actors.apiserver.machinery.uids import new_uid
from runtime.clock import Clock

MAX_TOLD = 1000  # troubles that are remembered as told

Object = dict[str, Any]
Send = Callable[[str, str, Object], Coroutine[Any, Any, int]]  # (method, path, body) -> status code
Trouble = tuple[Object, str, str]  # (the Service, reason, message)


class ServiceEvents:
    """`component` is who says so."""

    def __init__(self, clock: Clock, send: Send, component: str) -> None:
        self._clock = clock
        self._send = send
        self._component = component
        self._told: dict[tuple[str, str, str], None] = {}

    async def tell(self, trouble: Trouble) -> None:
        """Write a Warning, unless that was done before."""
        service, reason, message = trouble
        metadata = service["metadata"]
        if (told := (metadata["uid"], reason, message)) in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        now = now_rfc3339(self._clock)
        about = {"kind": "Service", "apiVersion": "v1", "namespace": metadata["namespace"], "name": metadata["name"]}
        event = {
            "kind": "Event", "apiVersion": "v1", "metadata": {"name": f"{metadata['name']}.{new_uid()}"},
            "involvedObject": {**about, "uid": metadata["uid"]}, "type": "Warning", "reason": reason,
            "message": message, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "source": {"component": self._component},
        }  # fmt: skip
        if await self._send("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", event) < 300:
            self._told[told] = None
