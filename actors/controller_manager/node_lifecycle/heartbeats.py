"""When did each Node last give a sign of life, by our own monotonic clock.

A sign is a changed renewTime of the Node's Lease, or a changed lastHeartbeatTime of its Ready condition. What the times
say is of no interest: the Node's clock may be off. Pure.
"""

from typing import Any

from actors.controller_manager.pods import condition

Object = dict[str, Any]


class Heartbeats:
    def __init__(self) -> None:
        self._signs: dict[tuple[str, str], str] = {}
        self._heard: dict[str, float] = {}

    def note_lease(self, node: str, lease: Object, now: float) -> None:
        self._note(node, "lease", str((lease.get("spec") or {}).get("renewTime")), now)

    def note_node(self, node: str, obj: Object, now: float) -> None:
        ready = condition(obj, "Ready") or {}
        self._note(node, "status", str(ready.get("lastHeartbeatTime")), now)

    def silence_s(self, node: str, now: float) -> float:
        """Return for how long the Node has given no sign; a Node that is new to us has just given one."""
        return now - self._heard.setdefault(node, now)

    def forgive(self, now: float) -> None:
        """Start every count anew: we could not have heard anybody."""
        self._heard = dict.fromkeys(self._heard, now)

    def forget(self, node: str) -> None:
        self._heard.pop(node, None)
        self._signs.pop((node, "lease"), None)
        self._signs.pop((node, "status"), None)

    def _note(self, node: str, kind: str, sign: str, now: float) -> None:
        if self._signs.get((node, kind)) != sign:
            self._signs[(node, kind)] = sign
            self._heard[node] = now
