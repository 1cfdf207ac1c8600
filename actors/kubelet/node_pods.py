"""The pods of one node: a worker each, made and ended by what the API and the runtime say.

What the runtime has and the API does not (an orphan: its pod was removed while the kubelet was away) is ended and
removed, but only once both were read in full.

Neighbours: the informer's changes come in through `pod_changed`, the runtime's and the probes' through `poke`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.observed import PodRuntime
from actors.kubelet.observer import Observer
from actors.kubelet.runtime import POD_TERMINATION_GRACE_PERIOD
from actors.kubelet.surroundings.pod_files import UNKNOWN_POD
from actors.kubelet.worker.equipment import Equipment
from actors.kubelet.worker.worker import PodWorker


class NodePods:
    def __init__(self, equipment: Equipment, has_synced: Callable[[], bool]):
        """`has_synced` tells whether the API's pods were listed once."""
        self._with = equipment
        self._has_synced = has_synced
        self._workers: dict[str, PodWorker] = {}
        self._by_key: dict[str, str] = {}
        self._next: dict[str, pods.Pod] = {}  # static pods by key, until the one of their name before them is gone
        self._requests: dict[str, tuple[Any, dict[str, int]]] = {}  # uid -> a spec, and what it asks for
        self._removed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._workers)

    def find(self, key: str) -> PodWorker | None:
        """Return the worker of the pod that is called so now."""
        return self._workers.get(self._by_key.get(key, ""))

    def active(self) -> list[pods.Pod]:
        """Return the pods that take up room on the node."""
        return [worker.pod for worker in self._workers.values() if not pods.is_terminal(worker.pod)]

    def workers(self) -> list[PodWorker]:
        return list(self._workers.values())

    def admitted(self) -> list[pods.Pod]:
        """Return the pods that take up room on the node, and were taken in."""
        return [worker.pod for worker in self._workers.values() if worker.is_admitted and not worker.has_ended]

    def request_of(self, pod: pods.Pod, resource: str) -> int:
        """Return what a pod asks for, remembered: each new pod is weighed against all that are there."""
        uid, spec = pods.uid(pod), pod["spec"]
        known = self._requests.get(uid)
        if known is None or known[0] is not spec:
            known = self._requests[uid] = (spec, {})
        if resource not in known[1]:
            known[1][resource] = qos.pod_request(pod, resource)
        return known[1][resource]

    def watched(self) -> list[tuple[pods.Pod, PodRuntime]]:
        """Return the pods that may have processes, as the API and as the runtime have them."""
        look = self._with.observer.pod
        return [(worker.pod, look(uid)) for uid, worker in self._workers.items() if not worker.has_ended]

    def pod_changed(self, key: str, old: pods.Pod | None, new: pods.Pod | None) -> None:
        """Take a change of the informer's copy. A pod of the same name and another uid is another pod."""
        if old is not None and (new is None or pods.uid(old) != pods.uid(new)):
            self._gone(key, pods.uid(old))
        if new is None:
            self._next.pop(key, None)
            return
        if pods.is_static(new) and self._is_leaving(key):
            self._next[key] = new
            return
        self._begin(key, new)

    def _is_leaving(self, key: str) -> bool:
        """Whether a pod of that name is on its way out: a static one often has its node's own ports and files."""
        return any(worker.is_gone and pods.key(worker.pod) == key for worker in self._workers.values())

    def _begin(self, key: str, new: pods.Pod) -> None:
        uid = pods.uid(new)
        self._by_key[key] = uid
        worker = self._workers.get(uid)
        if worker is not None:
            worker.update(new)
        else:
            self._add(new).poke()

    def poke(self, uid: str) -> None:
        """Something of a pod changed that is not in the API."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.poke()
        elif self._is_orphan(uid):
            self._end_orphan(uid)

    def health_changed(self, uid: str) -> None:
        """A probe of a pod has found out something new."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.health_changed()

    def objects_changed(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.objects_changed()

    def look_at_all(self) -> None:
        """Both the API and the runtime are known now, or the runtime is back: look at every pod, and for orphans."""
        for worker in list(self._workers.values()):
            worker.try_again()
        known = dict.fromkeys(self._with.observer.uids(), UNKNOWN_POD) | self._with.files.kept()
        for uid, key in known.items():
            if uid not in self._workers and self._is_orphan(uid):
                self._end_orphan(uid, key)

    def _add(self, pod: pods.Pod) -> PodWorker:
        worker = self._workers[pods.uid(pod)] = PodWorker(self._with, pod, self._drop)
        return worker

    def _gone(self, key: str, uid: str) -> None:
        if self._by_key.get(key) == uid:
            del self._by_key[key]
        worker = self._workers.get(uid)
        if worker is None:
            return
        worker.gone()
        if worker.is_removed:
            self._forget(uid)

    def _drop(self, worker: PodWorker) -> None:
        """A worker has removed everything. It stays until the API confirms, so that it is not begun again."""
        if worker.is_gone:
            self._forget(worker.uid)

    def _forget(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        self._requests.pop(uid, None)
        key = pods.key(worker.pod) if worker is not None else ""
        if key in self._next and not self._is_leaving(key):
            self._begin(key, self._next.pop(key))

    def _is_orphan(self, uid: str) -> bool:
        return self._has_synced() and self._with.observer.synced.is_set()

    def _end_orphan(self, uid: str, key: tuple[str, str] = UNKNOWN_POD) -> None:
        pod = orphan_of(uid, self._with.observer, key)
        self._with.log.info("ending what belongs to no pod", uid=uid, pod=pods.key(pod))
        self._add(pod).gone()


def orphan_of(uid: str, observer: Observer, key: tuple[str, str]) -> dict[str, Any]:
    """Return a Pod with what the runtime, and else the files, know of one that the API no longer has."""
    runtime = observer.pod(uid)
    namespace, name = key
    if runtime.sandbox is not None:
        name, namespace = runtime.sandbox.sandbox.pod_name, runtime.sandbox.sandbox.pod_namespace
    elif runtime.containers:
        name, namespace = runtime.containers[0].container.pod_name, runtime.containers[0].container.pod_namespace
    spec: dict[str, Any] = {"containers": []}
    for item in runtime.containers:
        grace = item.container.annotations.get(POD_TERMINATION_GRACE_PERIOD, "")
        if grace.isdigit():
            spec["terminationGracePeriodSeconds"] = int(grace)
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid}, "spec": spec, "status": {}}
