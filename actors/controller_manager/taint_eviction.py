"""Pods leave Nodes that have NoExecute taints: at once, or when their toleration is over.

`timeAdded` of the taint starts the clock of a tolerationSeconds, so that a new leader goes on counting where the last
one stopped. A taint without it (as `kubectl taint` makes them) counts from when it was first seen here.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from actors.api.meta import key_of
from actors.controller_manager.actions import Action, Delete, Emit, Failure, Patch, RequeueAfter
from actors.controller_manager.controller import Controller
from actors.controller_manager.disruption_target import disruption_target
from actors.controller_manager.pods import Pod, is_terminal, is_terminating
from actors.controller_manager.relations import BY_NODE, index_by_node
from actors.controller_manager.timestamps import seconds_of

Object = dict[str, Any]

NEVER = float("inf")


def tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def evict_at(pod: Pod, taints: Sequence[Object], first_seen: float) -> float:
    """Return when these NoExecute taints drive the Pod away: 0 for at once, NEVER if it tolerates them for good."""
    due = NEVER
    for taint in taints:
        toleration = next((entry for entry in pod["spec"].get("tolerations") or () if tolerates(entry, taint)), None)
        if toleration is None:
            return 0.0
        seconds = toleration.get("tolerationSeconds")
        if seconds is None:
            continue
        if seconds <= 0:
            return 0.0
        due = min(due, seconds_of(taint.get("timeAdded"), first_seen) + seconds)
    return due


def reconcile(pod: Pod, taints: Sequence[Object], first_seen: float, now: float) -> list[Action]:
    """Return the eviction of a Pod, or when to look again. `taints`: NoExecute, of its Node."""
    if is_terminating(pod) or is_terminal(pod):
        return []
    due = evict_at(pod, taints, first_seen)
    if due == NEVER:
        return []
    if due > now:
        return [RequeueAfter(due - now)]
    metadata = pod["metadata"]
    event = Emit(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key_of(pod)}")
    why = "Taint manager: deleting due to NoExecute taint"
    status = disruption_target(pod, "DeletionByTaintManager", why, now)
    actions: list[Action] = [event]
    if status is not None:
        patch = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}, "status": status}
        actions.append(Patch("pods", metadata["namespace"], metadata["name"], patch, subresource="status"))
    return [*actions, Delete("pods", metadata["namespace"], metadata["name"], metadata["uid"])]


def no_execute_taints(node: Object | None) -> list[Object]:
    taints = (node["spec"].get("taints") or ()) if node is not None else ()
    return [taint for taint in taints if taint["effect"] == "NoExecute"]


class TaintEvictionController(Controller):
    name = "taint-eviction"

    def set_up(self) -> None:
        self._first_seen: dict[str, float] = {}  # Node -> when it first had a NoExecute taint, by the wall
        self.nodes = self.watch("nodes", self._keys_of_node)
        self.pods = self.watch("pods", self._keys_of_pod)
        index_by_node(self.caches, self.pods)

    async def begin(self) -> None:
        for name in list(self._first_seen):
            for key in self._pods_of(name):
                self.queue.add(key)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        pod = self.pods.get(key)
        name = pod["spec"].get("nodeName") if pod is not None else None
        if pod is None or not name:
            return []
        taints = no_execute_taints(self.nodes.get(name))
        if not taints:
            return []
        now = self.clock.wall()
        return reconcile(pod, taints, self._first_seen.setdefault(name, now), now)

    def _keys_of_node(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        taints = no_execute_taints(new)
        if not taints:
            self._first_seen.pop(key, None)
            return ()
        self._first_seen.setdefault(key, self.clock.wall())
        return () if taints == no_execute_taints(old) else self._pods_of(key)

    def _keys_of_pod(self, key: str, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if new is None or new["spec"].get("nodeName") not in self._first_seen:
            return ()
        if old is not None and old["spec"] == new["spec"]:
            return ()
        return (key,)

    def _pods_of(self, node: str) -> list[str]:
        return [key_of(pod) for pod in self.pods.by_index(BY_NODE, node)]
