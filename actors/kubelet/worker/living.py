"""What a worker does for a pod that shall live: carries out what `compute` decided, step by step.

Files are made beside the sandbox; containers start when both are there. What fails is noted: when it may be tried again
(`retry_s`), and what the status shall say until then (`waiting`). Everything stops in the middle when the pod begins to
end.

Neighbours: `worker` calls `act`; `starter`, `terminator` and `pod_files` do the work.
"""

import asyncio
from collections.abc import Callable

from actors.api.errors import ApiError
from actors.kubelet import pod as pods
from actors.kubelet.compute import PodActions, backoff_key, ended_s
from actors.kubelet.observed import has_exited
from actors.kubelet.resize import Resizing
from actors.kubelet.runtime import SandboxStatus
from actors.kubelet.starter import RETRY_S, StartFailed
from actors.kubelet.status.container_status import Waiting
from actors.kubelet.terminator import Grace
from actors.kubelet.volumes.claims import ClaimNotReady
from actors.kubelet.volumes.volumes import VolumeError
from actors.kubelet.worker.equipment import EARLY_STATUS_S, Equipment
from actors.kubelet.worker.life import Life
from runtime.failpoint import passing

SANDBOX, FILES = "/sandbox", "/files"  # beside containers' names, which have no slash


class Living:
    __slots__ = ("files_are_stale", "waiting", "retry_s", "hooked", "_with", "_life", "_resizing", "_report", "_again")

    def __init__(
        self,
        equipment: Equipment,
        life: Life,
        resizing: Resizing,
        report: Callable[[], None],
        again: Callable[[], None],
    ):
        """`report` has the status written; `again` has the pod looked at once more."""
        self.files_are_stale = True
        self.waiting: dict[str, Waiting] = {}
        self.retry_s: dict[str, float] = {}  # container, SANDBOX or FILES -> wall time of the next try
        self.hooked = ""  # the container whose postStart hook may be under way: it does not count as running yet
        self._with, self._life, self._resizing = equipment, life, resizing
        self._report, self._again = report, again

    async def act(self, actions: PodActions) -> None:
        """Carry out what was decided, step by step, until it is done or the pod begins to end."""
        wanted = {start.name for start in actions.start} | set(actions.back_off)
        self.waiting = {name: waiting for name, waiting in self.waiting.items() if name in wanted}
        renew_at_s = self._with.files.renew_at_s(self._life.pod)
        due = renew_at_s is not None and renew_at_s <= self._with.clock.wall()
        if actions.is_idle and not self.files_are_stale and not due:
            return
        early = asyncio.get_running_loop().call_later(EARLY_STATUS_S, self._report)
        try:
            preparing = asyncio.ensure_future(self._prepare()) if self.files_are_stale or due else None
            try:
                await self._kill(actions)
                sandbox = await self._sandbox(actions)
                ready = preparing is None or await self._life.unless_ending(preparing)
            finally:
                if preparing is not None:
                    preparing.cancel()
                    await asyncio.wait((preparing,))
            if sandbox is not None and ready:
                await self._start(actions, sandbox)
            self._note_back_off(actions)
        finally:
            early.cancel()

    async def _prepare(self) -> bool:
        """Make or refresh the pod's files; tell whether containers may start."""
        if self.retry_s.get(FILES, 0.0) > self._with.clock.wall():
            return False
        self.files_are_stale = False
        ready = False
        try:
            await self._with.files.prepare(self._life.pod)
            passing("kubelet.files-made")
            ready = True
        except ClaimNotReady as error:
            self._with.tell(self._life.pod, "Warning", "FailedMount", f"Unable to attach or mount volumes: {error}")
        except VolumeError as error:
            self._with.tell(self._life.pod, "Warning", "FailedMount", str(error))
        except ApiError as error:
            self._with.tell(self._life.pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
        except OSError as error:
            why = error.strerror or str(error)
            self._with.tell(self._life.pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {why}")
        finally:
            self.files_are_stale = self.files_are_stale or not ready
        if ready:
            self.retry_s.pop(FILES, None)
        else:
            self.retry_s[FILES] = self._with.clock.wall() + RETRY_S
        return ready

    async def _kill(self, actions: PodActions) -> None:
        with_, runtime = self._with, self._with.observer.pod(self._life.uid)
        if actions.kill_pod:
            grace = Grace(pods.grace_period_s(self._life.pod), with_.clock)
            await self._life.unless_ending(with_.terminator.end_pod(self._life.pod, runtime, grace))
        by_id = {item.container.id: item for item in runtime.containers}
        kills = [
            with_.terminator.end_container(
                self._life.pod,
                by_id[kill.container_id],
                Grace(pods.grace_period_s(self._life.pod) if kill.grace_s is None else kill.grace_s, with_.clock),
                kill.reason,
            )
            for kill in actions.kill
        ]
        if kills:
            await self._life.unless_ending(asyncio.gather(*kills))
        for identity in actions.remove:
            await with_.driver.remove_container(identity)
            with_.files.remove_container(by_id[identity])
            with_.observer.forget(identity)

    async def _sandbox(self, actions: PodActions) -> SandboxStatus | None:
        """Return the pod's sandbox, made if it shall be; None when that failed or the pod begins to end."""
        if not actions.create_sandbox:
            return self._with.observer.pod(self._life.uid).ready_sandbox
        if self._life.ending_begun.is_set() or self.retry_s.get(SANDBOX, 0.0) > self._with.clock.wall():
            return None
        if actions.sandbox_attempt:
            message = "Pod sandbox changed, it will be killed and re-created."
            self._with.tell(self._life.pod, "Normal", "SandboxChanged", message)
        try:
            sandbox = await self._with.starter.start_sandbox(self._life.pod, actions.sandbox_attempt)
        except StartFailed as error:
            self.retry_s[SANDBOX] = error.retry_s
            return None
        # What failed in an earlier sandbox, as that was going, says nothing of this one.
        self.retry_s = {name: due_s for name, due_s in self.retry_s.items() if name == FILES}
        return sandbox

    async def _start(self, actions: PodActions, sandbox: SandboxStatus) -> None:
        for start in actions.start:
            now_s = self._with.clock.wall()
            if self.retry_s.get(start.name, 0.0) > now_s:
                continue
            if start.replaces is not None and (start.replaces.started_ns or has_exited(start.replaces)):
                key = backoff_key(self._life.pod, start.name)
                self._with.backoff.started(key, ended_s(start.replaces, now_s), now_s)
            self.hooked = start.name if pods.post_start(self._life.pod, start.name) else ""
            try:
                starting = self._with.starter.start_container(self._resizing.view(self._life.pod), sandbox, start)
                if not await self._life.unless_ending(starting):
                    return
            except StartFailed as error:
                self.waiting[start.name] = Waiting(error.reason, error.message)
                self.retry_s[start.name] = error.retry_s
                if error.retry_s <= self._with.clock.wall():
                    self._again()
            else:
                self.waiting.pop(start.name, None)
                self.retry_s.pop(start.name, None)
            finally:
                self.hooked = ""

    def _note_back_off(self, actions: PodActions) -> None:
        """Show which containers wait after a crash, and tell users once a time."""
        for name, due_s in actions.back_off.items():
            where = f"{pods.name(self._life.pod)}_{pods.namespace(self._life.pod)}({self._life.uid})"
            status = self._with.observer.pod(self._life.uid).newest(name)
            ended = ended_s(status, due_s) if status is not None else due_s
            message = f"back-off {due_s - ended:.0f}s restarting failed container={name} pod={where}"
            waiting = Waiting("CrashLoopBackOff", message)
            if self.waiting.get(name) != waiting:
                self.waiting[name] = waiting
                text = f"Back-off restarting failed container {name} in pod {where}"
                self._with.tell(self._life.pod, "Warning", "BackOff", text, name)
