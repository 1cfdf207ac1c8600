"""Pods that nobody else will remove: those of Nodes that are gone, those that no kubelet will ever end, and finished
ones beyond a threshold.

A Node that is missing from the cache is given a while (it may only have been re-registered) and is looked up past the
cache before its Pods go.
"""

from collections.abc import Iterable
from typing import Any

from actors.api.meta import key_of
from actors.controller_manager.actions import Action, Batch, ConfirmAbsent, Delete, Failure, Patch, RequeueAfter
from actors.controller_manager.controller import Controller
from actors.controller_manager.disruption_target import disruption_target
from actors.controller_manager.pods import Pod, is_terminal, is_terminating
from actors.controller_manager.relations import BY_NODE, index_by_node
from actors.controller_manager.timestamps import seconds_of

Object = dict[str, Any]

QUARANTINE_S = 40.0  # Kubernetes' time between missing a Node and removing its Pods
TERMINATED_THRESHOLD = 12_500  # finished Pods that are kept for their logs and status; the oldest go first
BATCH = 500  # finished Pods removed in one reconcile

TERMINATED = "finished pods"  # the key of that check; no Pod's key has a space


def reconcile(pod: Pod, node_known: bool, missing_for_s: float, now: float) -> list[Action]:
    """Return the removal of a Pod that has no kubelet: its Node is gone, or it was deleted before it had one."""
    node = pod["spec"].get("nodeName")
    if not node:
        return [_remove(pod)] if is_terminating(pod) else []
    if node_known:
        return []
    if missing_for_s < QUARANTINE_S:
        return [RequeueAfter(QUARANTINE_S - missing_for_s)]
    return [ConfirmAbsent("nodes", None, node), *_fail(pod, now), _remove(pod)]


def surplus(finished: Iterable[Pod], threshold: int) -> list[Action]:
    """Return the removal of the oldest finished Pods beyond the threshold."""
    by_age = sorted(
        finished,
        key=lambda pod: (seconds_of(pod["metadata"].get("creationTimestamp")), pod["metadata"]["name"]),
    )
    excess = by_age[: max(min(len(by_age) - threshold, BATCH), 0)]
    return [Batch(tuple(_remove(pod) for pod in excess), tolerant=True)] if excess else []


def _fail(pod: Pod, now: float) -> list[Action]:
    """A Pod that still looks alive is told to have failed, so that whoever waits for it learns of it."""
    if is_terminal(pod):
        return []
    metadata = pod["metadata"]
    status = disruption_target(pod, "DeletionByPodGC", "PodGC: node no longer exists", now) or {}
    patch = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "status": {"phase": "Failed", **status},
    }
    return [Patch("pods", metadata["namespace"], metadata["name"], patch, subresource="status")]


def _remove(pod: Pod) -> Delete:
    metadata = pod["metadata"]
    return Delete("pods", metadata["namespace"], metadata["name"], metadata["uid"], grace_period_s=0)


class PodGcController(Controller):
    name = "pod-garbage-collector"
    workers = 4

    def set_up(self) -> None:
        self._missing_since: dict[str, float] = {}
        self._finished: set[str] = set()
        self.nodes = self.watch("nodes", self._keys_of_node)
        self.pods = self.watch("pods", self._keys_of_pod)
        index_by_node(self.caches, self.pods)

    async def begin(self) -> None:
        for pod in self.pods.list():
            for key in self._keys_of_pod(key_of(pod), None, pod):
                self.queue.add(key)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        if key == TERMINATED:
            found = [pod for name in self._finished if (pod := self.pods.get(name)) is not None]
            return surplus([pod for pod in found if not is_terminating(pod)], TERMINATED_THRESHOLD)
        pod = self.pods.get(key)
        if pod is None:
            return []
        node = pod["spec"].get("nodeName")
        known = bool(node) and self.nodes.get(node) is not None
        missing_for_s = 0.0
        if node and not known:
            monotonic = self.clock.monotonic()
            missing_for_s = monotonic - self._missing_since.setdefault(node, monotonic)
        return reconcile(pod, known, missing_for_s, self.clock.wall())

    def _keys_of_node(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        if new is not None:
            self._missing_since.pop(key, None)
            return ()
        self._missing_since[key] = self.clock.monotonic()
        found = self.pods.by_index(BY_NODE, key)
        return [key_of(pod) for pod in found]

    def _keys_of_pod(self, key: str, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if new is None or not is_terminal(new):
            self._finished.discard(key)
        else:
            self._finished.add(key)
        if len(self._finished) > TERMINATED_THRESHOLD:
            self.queue.add(TERMINATED)
        if new is None:
            return ()
        node = new["spec"].get("nodeName")
        homeless = self.nodes.get(node) is None if node else is_terminating(new)
        return (key,) if homeless and self.nodes.has_synced else ()
