"""Keeps the mandatory and suggested objects as they should be, and says in each FlowSchema's status if it counts.

Mandatory objects are made again when they were deleted, and their spec is put right. Suggested ones are made once, at
the first start of a cluster (a deleted one stays deleted while any of them is left), and updated while their annotation
allows it. Every API server does this; who is late finds it done.

Neighbours: `defaults` has the objects; `gate` obeys them; the actor runs `Upkeep.run`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from actors.api.meta import get_condition, now_rfc3339
from actors.apiserver.fairness import defaults
from actors.apiserver.fairness.gate import LEVELS_PREFIX, SCHEMAS_PREFIX
from actors.apiserver.storage.watch_cache import WatchCache
from runtime.clock import Clock

PERIOD_S = 60.0  # between looks when nothing is heard of; Kubernetes' too
GLANCE_S = 1.0  # between looks whether anything has changed
DANGLING = "Dangling"

Object = dict[str, Any]
Send = Callable[[str, str, Object], Coroutine[Any, Any, int]]  # (method, path, body) -> status code
PATHS = {
    "FlowSchema": "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
    "PriorityLevelConfiguration": "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
}


def wanted_writes(present: dict[tuple[str, str], Object]) -> list[tuple[str, str, Object]]:
    """Return (method, path, body) of what must be written, given all objects by kind and name."""
    writes = []
    is_new = not any(not defaults.is_mandatory(obj) for obj in present.values())
    for obj in defaults.objects():
        name = obj["metadata"]["name"]
        found = present.get((obj["kind"], name))
        if found is None:
            if is_new or defaults.is_mandatory(obj):
                writes.append(("POST", PATHS[obj["kind"]], obj))
        elif _may_update(found, obj) and _differs(found["spec"], obj["spec"]):
            writes.append(("PUT", f"{PATHS[obj['kind']]}/{name}", {**found, "spec": obj["spec"]}))
    return writes


def wanted_status(schema: Object, levels: set[str], now: str) -> Object | None:
    """Return the body of a status write, when a FlowSchema's Dangling condition is not as it should be."""
    level = ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name", "")
    missing = level not in levels
    conditions = (schema.get("status") or {}).get("conditions") or []
    known = get_condition(conditions, DANGLING)
    condition = {
        "type": DANGLING,
        "status": "True" if missing else "False",
        "reason": "NotFound" if missing else "Found",
        "message": f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" '
        f"{'but there is no such object' if missing else 'and it exists'}",
        "lastTransitionTime": now,
    }
    if known is not None and (known.get("status"), known.get("message")) == (condition["status"], condition["message"]):
        return None
    if known is not None and known.get("status") == condition["status"]:
        condition["lastTransitionTime"] = known.get("lastTransitionTime", now)
    others = [one for one in conditions if one.get("type") != DANGLING]
    return {**schema, "status": {**(schema.get("status") or {}), "conditions": [*others, condition]}}


class Upkeep:
    def __init__(self, cache: WatchCache, clock: Clock, send: Send) -> None:
        self._caches = {
            "FlowSchema": cache.at(SCHEMAS_PREFIX),
            "PriorityLevelConfiguration": cache.at(LEVELS_PREFIX),
        }
        self._clock = clock
        self._send = send

    async def run(self) -> None:
        """Look whenever something has changed, and now and then; for ever."""
        seen: tuple[int, ...] = ()
        due = 0.0
        while True:
            now = self._clock.monotonic()
            revisions = tuple(cache.changed_revision for cache in self._caches.values())
            if revisions != seen or now >= due:
                seen, due = revisions, now + PERIOD_S
                await self.put_right()
            await asyncio.sleep(GLANCE_S)

    async def put_right(self) -> None:
        """Write what is missing or wrong. A write that fails is tried again at the next look."""
        for method, path, body in wanted_writes(self._present()):
            await self._send(method, path, body)
        present = self._present()
        levels = {name for kind, name in present if kind == "PriorityLevelConfiguration"}
        levels |= {obj["metadata"]["name"] for obj in defaults.MANDATORY_LEVELS}
        for (kind, name), obj in present.items():
            if kind == "FlowSchema":
                told = wanted_status(obj, levels, now_rfc3339(self._clock))
                if told is not None:
                    await self._send("PUT", f"{PATHS[kind]}/{name}/status", told)

    def _present(self) -> dict[tuple[str, str], Object]:
        found = {}
        for kind, cache in self._caches.items():
            for entry in cache.entries.values():
                obj = entry.decode()
                found[kind, obj["metadata"]["name"]] = obj
        return found


def _may_update(found: Object, wanted: Object) -> bool:
    if defaults.is_mandatory(wanted):
        return True
    return (found["metadata"].get("annotations") or {}).get(defaults.AUTOUPDATE) == "true"


def _differs(found: Any, wanted: Any) -> bool:
    """Does a stored spec lack anything of the wanted one? What defaulting added does not count."""
    if isinstance(wanted, dict):
        return not isinstance(found, dict) or any(_differs(found.get(key), value) for key, value in wanted.items())
    return found != wanted
