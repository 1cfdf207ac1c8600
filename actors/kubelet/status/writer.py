"""Writes pod statuses to the API: the latest of each pod, only what changed, until it is there.

A status that comes while another is being written replaces what waits. A write is guarded by the pod's uid and, because
the list of conditions is shared with others, by its resourceVersion; a conflict reads the pod again. What the API can't
be told now is told later: a status is dropped only when its pod is gone.

Neighbours: `worker` submits; the informer's copy of a pod is the base that a write starts from.
"""

import asyncio
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.kubelet import pod as pods
from bus import BusError
from runtime.background import spawn
from runtime.failpoint import passing
from runtime.workqueue import RetryLimiter

MAX_RETRY_S = 10.0
PASSING = frozenset({"PodResizePending", "PodResizeInProgress"})  # the kubelet's own, and gone when they don't hold
FIELDS_KEPT = ("nominatedNodeName", "resourceClaimStatuses", "resize")  # others own these


class _Entry:
    __slots__ = ("pod", "wanted", "written", "task", "idle", "gone")

    def __init__(self, pod: pods.Pod):
        self.pod = pod  # the newest state that is known: the informer's, or the answer to the last write
        self.wanted: dict[str, Any] | None = None
        self.written: dict[str, Any] | None = None  # as it was sent: the API may store it in other words
        self.task: asyncio.Task[None] | None = None
        self.idle = asyncio.Event()
        self.idle.set()
        self.gone = False


class StatusWriter:
    def __init__(self, api: ApiClient, gate: asyncio.Semaphore, log: Any):
        """`gate` bounds the writes under way; what waits before it is replaced by what comes."""
        self._api, self._gate, self._log = api, gate, log
        self._entries: dict[str, _Entry] = {}
        self._limiter = RetryLimiter(limit_s=MAX_RETRY_S)
        self.writes = 0

    def submit(self, pod: pods.Pod, status: dict[str, Any]) -> None:
        """Have a status written. Returns at once."""
        uid = pod["metadata"]["uid"]
        entry = self._entries.get(uid)
        if entry is None:
            entry = self._entries[uid] = _Entry(pod)
        entry.pod = _newer(entry.pod, pod)
        entry.wanted = status
        if entry.task is None and not entry.gone and _patch_of(entry) is not None:
            entry.idle.clear()
            entry.task = spawn(self._write_all(uid, entry), f"status of {pods.key(pod)}")

    def observe(self, pod: pods.Pod) -> None:
        """Take a newer state of a pod, so that the next write starts from it."""
        entry = self._entries.get(pod["metadata"]["uid"])
        if entry is None:
            return
        entry.pod = _newer(entry.pod, pod)
        # What was as it should be when this kubelet came, it never wrote, and yet has to hold.
        said = entry.wanted if entry.written is None else entry.written
        if entry.pod is pod and said is not None and _was_overwritten(said, pod):
            entry.written = None
            self.submit(pod, entry.wanted or {})

    def last(self, pod: pods.Pod) -> dict[str, Any]:
        """Return the status last submitted, else what the API has."""
        entry = self._entries.get(pod["metadata"]["uid"])
        if entry is not None and entry.wanted is not None:
            return entry.wanted
        return pod.get("status") or {}

    def written_phase(self, pod: pods.Pod) -> str:
        """Return the phase that was last submitted for a pod; empty when there is none."""
        entry = self._entries.get(pod["metadata"]["uid"])
        return str((entry.wanted or {}).get("phase", "")) if entry is not None else ""

    async def flushed(self, uid: str) -> None:
        """Return when the pod's latest status is written, or its pod is gone."""
        entry = self._entries.get(uid)
        if entry is not None:
            await entry.idle.wait()

    def forget(self, uid: str) -> None:
        entry = self._entries.pop(uid, None)
        self._limiter.forget(uid)
        if entry is not None and entry.task is not None:
            entry.task.cancel()

    async def _write_all(self, uid: str, entry: _Entry) -> None:
        try:
            while not entry.gone and entry.wanted is not None:
                if not await self._write(uid, entry):
                    break
        finally:
            entry.task = None
            entry.idle.set()

    async def _write(self, uid: str, entry: _Entry) -> bool:
        """Write once, or find out why not; tell whether there was anything to say."""
        namespace, name = pods.namespace(entry.pod), pods.name(entry.pod)
        try:
            async with self._gate:
                patch, sent = _patch_of(entry), entry.wanted
                if patch is None:
                    return False
                answer = await self._api.patch("pods", name, patch, namespace, subresource="status")
            passing("kubelet.status-written")
            self.writes += 1
            entry.pod = _newer(entry.pod, answer)
            if sent is None or not _was_overwritten(sent, entry.pod):
                entry.written = sent
                self._limiter.forget(uid)
            else:  # somebody changed a condition that this write, thought to be known, did not repeat
                entry.written = None
                await asyncio.sleep(self._limiter.delay_s(uid))
        except ApiError as error:
            await self._refused(uid, entry, error)
        except BusError as error:
            self._log.debug("will write a pod's status later", pod=f"{namespace}/{name}", error=str(error))
            await asyncio.sleep(self._limiter.delay_s(uid))
        return True

    async def _refused(self, uid: str, entry: _Entry, error: ApiError) -> None:
        if error.reason == "NotFound":
            entry.gone = True
            return
        if error.reason == "Conflict":
            await self._read_again(uid, entry)
            return
        self._log.warning("the API refused a pod's status", pod=pods.key(entry.pod), error=error.message)
        await asyncio.sleep(self._limiter.delay_s(uid))

    async def _read_again(self, uid: str, entry: _Entry) -> None:
        try:
            found = await self._api.get("pods", pods.name(entry.pod), pods.namespace(entry.pod))
        except ApiError as error:
            entry.gone = error.reason == "NotFound"
            if not entry.gone:
                self._log.debug("could not read a pod again", pod=pods.key(entry.pod), error=error.message)
                await asyncio.sleep(self._limiter.delay_s(uid))
        except BusError as error:
            self._log.debug("could not read a pod again", pod=pods.key(entry.pod), error=str(error))
            await asyncio.sleep(self._limiter.delay_s(uid))
        else:
            entry.gone = found["metadata"]["uid"] != uid
            entry.pod = entry.pod if entry.gone else found


def _newer(one: pods.Pod, other: pods.Pod) -> pods.Pod:
    """Return the later of two states of a pod. Versions are the store's revisions, so they compare as numbers."""
    versions = [str(item["metadata"].get("resourceVersion") or 0) for item in (one, other)]
    if not all(text.isdigit() for text in versions):
        return other
    return one if int(versions[0]) > int(versions[1]) else other


def _was_overwritten(written: dict[str, Any], pod: pods.Pod) -> bool:
    """Tell whether somebody changed what is the kubelet's to say, as the node controller does for a lost node."""
    there = {item["type"]: item["status"] for item in (pod.get("status") or {}).get("conditions") or ()}
    return any(there.get(item["type"], item["status"]) != item["status"] for item in written.get("conditions") or ())


def _patch_of(entry: _Entry) -> dict[str, Any] | None:
    """Return the merge patch from what the API has to the wanted status; None when there is nothing to say."""
    assert entry.wanted is not None
    metadata = entry.pod["metadata"]
    there = entry.pod.get("status") or {}
    known = there if entry.written is None else entry.written
    changed = {field: value for field, value in entry.wanted.items() if known.get(field) != value}
    changed |= {field: None for field in known if field not in entry.wanted and field not in FIELDS_KEPT}
    if "conditions" in changed:
        conditions = _with_conditions_of_others(there.get("conditions") or [], changed["conditions"])
        changed["conditions"] = conditions
        if conditions == there.get("conditions"):
            del changed["conditions"]
    if not changed:
        return None
    guard = {"uid": metadata["uid"]}
    if "conditions" in changed and metadata.get("resourceVersion"):
        guard["resourceVersion"] = metadata["resourceVersion"]
    return {"metadata": guard, "status": changed}


def _with_conditions_of_others(now: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the conditions to write: the kubelet's own as it wants them, those of others as they are."""
    mine = {item["type"]: item for item in own}
    there = [item for item in now if item["type"] in mine or item["type"] not in PASSING]
    kept = [mine.pop(item["type"]) if item["type"] in mine else item for item in there]
    return kept + list(mine.values())
