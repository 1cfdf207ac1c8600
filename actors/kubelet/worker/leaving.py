"""What a worker does for a pod that leaves: ends what runs, tells how it ended, and removes all of it once the API
wants it gone.

Each step may be the last of this kubelet: the next one begins again, and finds what is left in the runtime and on the
disk. Processes end first, then the final status is written, then volumes go; the records, which tell of the pod, are
last.

Neighbours: `worker` calls `end` again and again until it is done; `terminator` ends containers.
"""

import asyncio
from collections.abc import Callable

from actors.api.errors import ApiError
from actors.kubelet import pod as pods
from actors.kubelet.compute import backoff_prefix
from actors.kubelet.terminator import Grace
from actors.kubelet.worker.equipment import EARLY_STATUS_S, Equipment
from actors.kubelet.worker.life import Life
from runtime.failpoint import passing


class Leaving:
    __slots__ = ("ended", "is_done", "_with", "_life", "_report", "_grace", "_is_cleared")

    def __init__(self, equipment: Equipment, life: Life, report: Callable[[], None]):
        """`report` has the status written."""
        self.ended = asyncio.Event()  # no process is left
        self.is_done = False  # nothing of the pod is left here
        self._with, self._life, self._report = equipment, life, report
        self._grace: Grace | None = None
        self._is_cleared = False  # no volume is left

    def shrink(self, grace_s: float) -> None:
        """The grace has become shorter."""
        if self._grace is not None:
            self._grace.shrink(grace_s)

    async def end(self) -> None:
        """End what runs, write the final status, and once the API wants the pod gone, remove all of it."""
        self._life.ending_begun.set()
        if not self._life.has_ended:
            await self._end_processes()
        if not self._is_cleared:
            await self._clear()
        if self._life.is_gone or pods.is_deleting(self._life.pod):
            await self._remove()

    async def _end_processes(self) -> None:
        with_ = self._with
        with_.prober.end(self._life.uid, with_.observer.pod(self._life.uid))
        early = asyncio.get_running_loop().call_later(EARLY_STATUS_S, self._report)
        try:
            await self._end_containers()
        finally:
            early.cancel()
        self._life.has_ended = True
        self.ended.set()
        with_.limiter.forget(self._life.uid)
        if not self._life.is_gone:
            self._report()
            await with_.writer.flushed(self._life.pod["metadata"]["uid"])
        with_.prober.forget(self._life.uid)
        passing("kubelet.pod-ended")

    async def _clear(self) -> None:
        """Remove what only processes needed: the pod's records and logs stay as long as the API has it."""
        await self._with.files.remove_volumes(self._life.uid)
        self._is_cleared = True
        passing("kubelet.volumes-removed")

    def _grace_s(self) -> float:
        own_s = pods.grace_period_s(self._life.pod)
        limit_s = self._life.ending.grace_s if self._life.ending is not None else None
        return own_s if limit_s is None else min(own_s, limit_s)

    async def _end_containers(self) -> None:
        with_ = self._with
        self._grace = Grace(self._grace_s(), with_.clock)
        if self._life.was_cut_short:
            await with_.observer.relist()  # finds what a start that was left in the middle has made
        while True:
            runtime = with_.observer.pod(self._life.uid)
            if not runtime.running() and runtime.ready_sandbox is None:
                break
            await with_.terminator.end_pod(self._life.pod, runtime, self._grace)

    async def _remove(self) -> None:
        with_ = self._with
        runtime = with_.observer.pod(self._life.uid)
        for sandbox in runtime.sandboxes:
            await with_.driver.remove_sandbox(sandbox.sandbox.id)
            with_.observer.forget(sandbox.sandbox.id)
        for container in with_.observer.pod(self._life.uid).containers:
            await with_.driver.remove_container(container.container.id)
            with_.observer.forget(container.container.id)
        await with_.files.remove(self._life.pod)
        passing("kubelet.pod-removed")
        if not self._life.is_gone:
            await self._delete_from_api()
        self.is_done = True
        with_.images.forget(self._life.uid)
        with_.backoff.forget_all(backoff_prefix(self._life.uid))
        with_.writer.forget(self._life.pod["metadata"]["uid"])

    async def _delete_from_api(self) -> None:
        uid = self._life.pod["metadata"]["uid"]
        await self._with.writer.flushed(uid)
        try:
            await self._with.api.delete(
                "pods", pods.name(self._life.pod), pods.namespace(self._life.pod), uid=uid, grace_period_s=0
            )
        except ApiError as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise
