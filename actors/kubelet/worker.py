"""One pod on this node, from its binding to its removal: look, decide, act, tell; again whenever something changed.

A worker runs only while it has something to do; `poke` wakes it. Its steps follow each other, those of different pods
overlap. All it knows is in the API, in the runtime and on the disk, so it may die at any line: the next one looks
again.

Sends: calls to the runtime, pod statuses, events, and at the end the pod's deletion. Receives: changes of the pod
(`update`, `gone`), of the runtime and of probes (`poke`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.api.meta import parse_time
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.backoff import Backoff
from actors.kubelet.compute import PodActions, backoff_key, compute_pod_actions, ended_s
from actors.kubelet.container_status import Waiting
from actors.kubelet.images import Images
from actors.kubelet.observed import PodRuntime
from actors.kubelet.observer import Observer
from actors.kubelet.pod_files import Files
from actors.kubelet.prober import Probing
from actors.kubelet.resize import RETRY_S as RESIZE_RETRY_S
from actors.kubelet.resize import Change, Resizing
from actors.kubelet.runtime import RuntimeDriver, RuntimeFault, RuntimeUnreachable, SandboxStatus
from actors.kubelet.starter import RETRY_S, Starter, StartFailed
from actors.kubelet.status import OWN_CONDITIONS, Ending, Facts, status_of
from actors.kubelet.status_writer import StatusWriter
from actors.kubelet.terminator import Grace, Terminator
from actors.kubelet.volumes.claims import ClaimNotReady
from actors.kubelet.volumes.volumes import VolumeError
from bus import BusError
from runtime.clock import Clock
from runtime.failpoint import passing
from runtime.workqueue import RetryLimiter

EARLY_STATUS_S = 0.25  # a pod that takes longer to start or to end says so; a quicker one writes only its result
MAX_RETRY_S = 10.0
SANDBOX, FILES = "/sandbox", "/files"  # beside containers' names, which have no slash

Tell = Callable[[pods.Pod, str, str, str], None]


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the workers of one node share."""

    driver: RuntimeDriver
    observer: Observer
    prober: Probing
    images: Images
    files: Files
    starter: Starter
    terminator: Terminator
    writer: StatusWriter
    resize_refusal: Callable[[pods.Pod], Ending | None]  # why a pod can't have what it asks for now
    refusal: Callable[[pods.Pod], Ending | None]  # why the node does not take a new pod in
    api: ApiClient
    backoff: Backoff
    limiter: RetryLimiter
    tell: Tell
    spawn: Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]
    runtime_name: Callable[[], str]
    host_ips: tuple[str, ...]
    clock: Clock
    log: Any


class PodWorker:
    def __init__(self, equipment: Equipment, pod: pods.Pod, on_removed: Callable[["PodWorker"], None]):
        self.pod = pod
        self.is_gone = False  # the API no longer has it
        self.is_admitted = False  # it counts for what the node has left
        self.is_removed = False  # nothing of it is left here
        self._with = equipment
        self._on_removed = on_removed
        self._task: asyncio.Task[None] | None = None
        self._dirty = False
        self._timer: tuple[float, asyncio.TimerHandle] | None = None
        self._ending_begun = asyncio.Event()
        self._grace: Grace | None = None
        self._resizing = Resizing()
        self._has_finished = False  # nothing is to be started again
        self._ending: Ending | None = None
        self._has_ended = False  # no process is left
        self._ended = asyncio.Event()
        self._was_cut_short = False
        self._files_stale = True
        self._waiting: dict[str, Waiting] = {}
        self._retry_s: dict[str, float] = {}  # container, SANDBOX or FILES -> wall time of the next try

    # -- what others tell

    def update(self, pod: pods.Pod) -> None:
        """Take a newer state of the pod."""
        before, self.pod = self.pod, pod
        self._with.writer.observe(pod)
        if not _matters(before, pod):
            return
        if any(before["metadata"].get(field) != pod["metadata"].get(field) for field in ("labels", "annotations")):
            self._files_stale = True
            self._retry_s.clear()
        if pods.is_deleting(pod) and self._grace is not None:
            self._grace.shrink(pods.grace_period_s(pod))
        if before["spec"] != pod["spec"]:
            self._retry_s.clear()
        self.poke()

    def gone(self) -> None:
        """The API no longer has the pod."""
        self.is_gone = True
        self.poke()

    def objects_changed(self) -> None:
        """Something that the pod's files or variables are made of has changed."""
        self._files_stale = True
        self.try_again()

    def try_again(self) -> None:
        """What may have kept the pod from starting has changed: wait no longer."""
        self._retry_s.clear()
        self.poke()

    def poke(self) -> None:
        """Look at the pod soon."""
        if self._must_end():
            self._ending_begun.set()
        self._dirty = True
        if self._task is None and not self.is_removed:
            self._task = self._with.spawn(self._run(), f"pod {pods.key(self.pod)}")

    def end(self, ending: Ending) -> None:
        """End the pod on the kubelet's own account: it fails, and is not started again."""
        if not self.is_ending:
            self._ending = ending
            self._with.tell(self.pod, "Warning", ending.reason, ending.message)
            self.poke()

    async def told(self) -> None:
        """Return when the pod has ended, and the API knows how."""
        await self._ended.wait()
        await self._with.writer.flushed(self.pod["metadata"]["uid"])

    @property
    def is_ending(self) -> bool:
        return self._must_end()

    @property
    def has_ended(self) -> bool:
        """Whether no process of the pod is left."""
        return self._has_ended

    @property
    def uid(self) -> str:
        return pods.uid(self.pod)

    # -- the loop

    async def _run(self) -> None:
        limiter = self._with.limiter
        try:
            while self._dirty and not self.is_removed:
                self._dirty = False
                try:
                    await self._sync()
                    limiter.forget(self.uid)
                except (RuntimeFault, ApiError, BusError) as error:
                    delay_s = min(limiter.delay_s(self.uid), MAX_RETRY_S)
                    self._with.log.debug("will try a pod again", pod=pods.key(self.pod), error=str(error))
                    self._wake_at(self._with.clock.wall() + delay_s)
        finally:
            self._task = None
        if self.is_removed:
            self._on_removed(self)
        elif self._dirty:
            self.poke()

    async def _sync(self) -> None:
        if not self._with.observer.synced.is_set():
            return
        self._check_deadline()
        runtime = self._with.observer.pod(self.uid)
        self._check_admission(runtime)
        if self._must_end():
            await self._end()
            return
        self._with.prober.follow(self.pod, runtime)
        await self._resize(runtime)
        runtime = self._with.observer.pod(self.uid)
        now_s = self._with.clock.wall()
        healths = self._with.prober.healths(self.uid)
        actions = compute_pod_actions(self.pod, runtime, healths, self._with.backoff, now_s)
        if actions.finished:
            self._has_finished = True
            await self._end()
            return
        await self._act(actions)
        if not self._must_end():
            self._report()
            self._wake_at(self._next_time(actions, now_s))

    def _must_end(self) -> bool:
        """Tell whether the pod is on its way out, for whichever reason."""
        if self.is_gone or self._has_finished or self._ending is not None:
            return True
        return pods.is_deleting(self.pod) or pods.is_terminal(self.pod)

    def _check_admission(self, runtime: PodRuntime) -> None:
        """Refuse what this node must not start, unless it was taken in already: by this kubelet or one before it."""
        if self.is_admitted or self._must_end():
            return
        if not (runtime.sandboxes or runtime.containers or self._with.writer.last(self.pod).get("startTime")):
            refusal = self._with.refusal(self.pod)
            if refusal is not None:
                self.end(refusal)
                return
        self.is_admitted = True
        self._resizing.take_in(self.pod, self._with.writer.last(self.pod))

    async def _resize(self, runtime: PodRuntime) -> None:
        """Bring running containers to what the spec asks for now, as far as the node has it."""
        resizing, with_ = self._resizing, self._with
        resizing.note(runtime)
        resizing.allocate(self.pod, with_.resize_refusal)
        changes = resizing.changes(self.pod, runtime)
        if changes:
            self._report()
            await self._carry_out(changes)
            resizing.changes(self.pod, runtime)
        if resizing.waits:
            self._wake_at(with_.clock.wall() + RESIZE_RETRY_S)

    async def _carry_out(self, changes: list[Change]) -> None:
        """The pod's own bounds must never be below those of its containers: they are lifted first, and lowered last."""
        with_, whole = self._with, qos.pod_resources(self._resizing.view(self.pod))
        try:
            await with_.driver.resize_pod(self.uid, qos.without_limits(whole))
            for change in changes:
                if change.restarts:
                    grace = Grace(pods.grace_period_s(self.pod), with_.clock)
                    text = f"Container {change.container.container.name} resize requires restart"
                    await self._unless_ending(with_.terminator.end_container(self.pod, change.container, grace, text))
                else:
                    await with_.driver.update_resources(change.container.container.id, change.resources)
                self._resizing.done(change)
            await with_.driver.resize_pod(self.uid, whole)
        except RuntimeUnreachable:
            raise
        except RuntimeFault as error:
            self._resizing.failed(str(error))
            with_.tell(self.pod, "Warning", "ResizeError", f"Error resizing: {error}")

    def _check_deadline(self) -> None:
        limit_s = self.pod["spec"].get("activeDeadlineSeconds")
        begun = self._with.writer.last(self.pod).get("startTime") if limit_s else None
        if limit_s and begun and self._with.clock.wall() >= parse_time(begun) + limit_s and self._ending is None:
            message = "Pod was active on the node longer than the specified deadline"
            self._ending = Ending("DeadlineExceeded", message)
            self._with.tell(self.pod, "Normal", "DeadlineExceeded", message)

    def _next_time(self, actions: PodActions, now_s: float) -> float | None:
        """Return the wall time when the pod is to be looked at again, if nothing happens before.

        `now_s` is when it was looked at: what was not due then, and has become due meanwhile, is due at once.
        """
        times = [actions.wait_until_s, *self._retry_s.values()]
        renew_at_s = self._with.files.renew_at_s(self.pod)
        if renew_at_s is not None:
            times.append(max(renew_at_s, now_s + RETRY_S))
        limit_s = self.pod["spec"].get("activeDeadlineSeconds")
        begun = self._with.writer.last(self.pod).get("startTime")
        if limit_s and begun:
            times.append(parse_time(begun) + limit_s)
        return min((item for item in times if item is not None and item > now_s), default=None)

    def _wake_at(self, wall_s: float | None) -> None:
        if wall_s is None:
            return
        delay_s = max(0.0, wall_s - self._with.clock.wall())
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        if self._timer is not None:
            if self._timer[0] <= due:
                return
            self._timer[1].cancel()
        self._timer = (due, loop.call_at(due, self._on_timer))

    def _on_timer(self) -> None:
        self._timer = None
        self.poke()

    # -- living

    async def _act(self, actions: PodActions) -> None:
        """Carry out what was decided, step by step, until it is done or the pod begins to end."""
        wanted = {start.name for start in actions.start} | set(actions.back_off)
        self._waiting = {name: waiting for name, waiting in self._waiting.items() if name in wanted}
        early = asyncio.get_running_loop().call_later(EARLY_STATUS_S, self._report)
        try:
            renew_at_s = self._with.files.renew_at_s(self.pod)
            due = renew_at_s is not None and renew_at_s <= self._with.clock.wall()
            preparing = asyncio.ensure_future(self._prepare()) if self._files_stale or due else None
            try:
                await self._kill(actions)
                sandbox = await self._sandbox(actions)
                ready = preparing is None or await self._unless_ending(preparing)
            finally:
                if preparing is not None:
                    preparing.cancel()
            if sandbox is not None and ready:
                await self._start(actions, sandbox)
            self._note_back_off(actions)
        finally:
            early.cancel()

    async def _prepare(self) -> bool:
        """Make or refresh the pod's files; tell whether containers may start."""
        if self._retry_s.get(FILES, 0.0) > self._with.clock.wall():
            return False
        self._files_stale = False
        ready = False
        try:
            await self._with.files.prepare(self.pod)
            passing("kubelet.files-made")
            ready = True
        except ClaimNotReady as error:
            self._with.tell(self.pod, "Warning", "FailedMount", f"Unable to attach or mount volumes: {error}")
        except VolumeError as error:
            self._with.tell(self.pod, "Warning", "FailedMount", str(error))
        except ApiError as error:
            self._with.tell(self.pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
        finally:
            self._files_stale = self._files_stale or not ready
        if ready:
            self._retry_s.pop(FILES, None)
        else:
            self._retry_s[FILES] = self._with.clock.wall() + RETRY_S
        return ready

    async def _kill(self, actions: PodActions) -> None:
        with_, runtime = self._with, self._with.observer.pod(self.uid)
        if actions.kill_pod:
            grace = Grace(pods.grace_period_s(self.pod), with_.clock)
            await self._unless_ending(with_.terminator.end_pod(self.pod, runtime, grace))
        by_id = {item.container.id: item for item in runtime.containers}
        kills = [
            with_.terminator.end_container(
                self.pod,
                by_id[kill.container_id],
                Grace(pods.grace_period_s(self.pod) if kill.grace_s is None else kill.grace_s, with_.clock),
                kill.reason,
            )
            for kill in actions.kill
        ]
        if kills:
            await self._unless_ending(asyncio.gather(*kills))
        for identity in actions.remove:
            await with_.driver.remove_container(identity)
            with_.files.remove_container(by_id[identity])
            with_.observer.forget(identity)

    async def _sandbox(self, actions: PodActions) -> SandboxStatus | None:
        """Return the pod's sandbox, made if it shall be; None when that failed or the pod begins to end."""
        if not actions.create_sandbox:
            return self._with.observer.pod(self.uid).ready_sandbox
        if self._ending_begun.is_set() or self._retry_s.get(SANDBOX, 0.0) > self._with.clock.wall():
            return None
        if actions.sandbox_attempt:
            message = "Pod sandbox changed, it will be killed and re-created."
            self._with.tell(self.pod, "Normal", "SandboxChanged", message)
        try:
            sandbox = await self._with.starter.start_sandbox(self.pod, actions.sandbox_attempt)
        except StartFailed as error:
            self._retry_s[SANDBOX] = error.retry_s
            return None
        self._retry_s.pop(SANDBOX, None)
        return sandbox

    async def _start(self, actions: PodActions, sandbox: SandboxStatus) -> None:
        for start in actions.start:
            now_s = self._with.clock.wall()
            if self._retry_s.get(start.name, 0.0) > now_s:
                continue
            if start.replaces is not None and start.replaces.started_ns:
                key = backoff_key(self.pod, start.name)
                self._with.backoff.started(key, ended_s(start.replaces, now_s), now_s)
            try:
                starting = self._with.starter.start_container(self._resizing.view(self.pod), sandbox, start)
                if not await self._unless_ending(starting):
                    return
            except StartFailed as error:
                self._waiting[start.name] = Waiting(error.reason, error.message)
                self._retry_s[start.name] = error.retry_s
                self._dirty = self._dirty or error.retry_s <= self._with.clock.wall()
            else:
                self._waiting.pop(start.name, None)
                self._retry_s.pop(start.name, None)

    def _note_back_off(self, actions: PodActions) -> None:
        """Show which containers wait after a crash, and tell users once a time."""
        for name, due_s in actions.back_off.items():
            where = f"{pods.name(self.pod)}_{pods.namespace(self.pod)}({self.uid})"
            status = self._with.observer.pod(self.uid).newest(name)
            ended = ended_s(status, due_s) if status is not None else due_s
            message = f"back-off {due_s - ended:.0f}s restarting failed container={name} pod={where}"
            waiting = Waiting("CrashLoopBackOff", message)
            if self._waiting.get(name) != waiting:
                self._waiting[name] = waiting
                text = f"Back-off restarting failed container {name} in pod {where}"
                self._with.tell(self.pod, "Warning", "BackOff", text)

    async def _unless_ending(self, work: Any) -> bool:
        """Await work, or leave it when the pod begins to end; tell whether it was done (and did not say False)."""
        task = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._ending_begun.wait())
        try:
            await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._was_cut_short = True
                task.cancel()
                await asyncio.wait((task,))
                return False
            return task.result() is not False
        finally:
            ending.cancel()
            task.cancel()

    # -- ending

    async def _end(self) -> None:
        """End what runs, write the final status, and once the API wants the pod gone, remove all of it."""
        self._ending_begun.set()
        if not self._has_ended:
            await self._end_processes()
        if self.is_gone or pods.is_deleting(self.pod):
            await self._remove()

    async def _end_processes(self) -> None:
        with_ = self._with
        with_.prober.freeze(self.uid)
        early = asyncio.get_running_loop().call_later(EARLY_STATUS_S, self._report)
        try:
            await self._end_containers()
        finally:
            early.cancel()
        self._has_ended = True
        self._ended.set()
        with_.limiter.forget(self.uid)
        if not self.is_gone:
            self._report()
            await with_.writer.flushed(self.pod["metadata"]["uid"])
        with_.prober.forget(self.uid)
        passing("kubelet.pod-ended")
        await with_.files.remove_volumes(self.uid)
        passing("kubelet.volumes-removed")

    def _grace_s(self) -> float:
        own_s = pods.grace_period_s(self.pod)
        limit_s = self._ending.grace_s if self._ending is not None else None
        return own_s if limit_s is None else min(own_s, limit_s)

    async def _end_containers(self) -> None:
        with_ = self._with
        self._grace = Grace(self._grace_s(), with_.clock)
        if self._was_cut_short:
            await with_.observer.relist()  # finds what a start that was left in the middle has made
        while True:
            runtime = with_.observer.pod(self.uid)
            if not runtime.running() and runtime.ready_sandbox is None:
                break
            await with_.terminator.end_pod(self.pod, runtime, self._grace)

    async def _remove(self) -> None:
        with_ = self._with
        runtime = with_.observer.pod(self.uid)
        for sandbox in runtime.sandboxes:
            await with_.driver.remove_sandbox(sandbox.sandbox.id)
            with_.observer.forget(sandbox.sandbox.id)
        for container in with_.observer.pod(self.uid).containers:
            await with_.driver.remove_container(container.container.id)
            with_.observer.forget(container.container.id)
        await with_.files.remove(self.pod)
        passing("kubelet.pod-removed")
        if not self.is_gone:
            await self._delete_from_api()
        self.is_removed = True
        with_.images.forget(self.uid)
        with_.writer.forget(self.pod["metadata"]["uid"])
        if self._timer is not None:
            self._timer[1].cancel()

    async def _delete_from_api(self) -> None:
        uid = self.pod["metadata"]["uid"]
        await self._with.writer.flushed(uid)
        try:
            await self._with.api.delete(
                "pods", pods.name(self.pod), pods.namespace(self.pod), uid=uid, grace_period_s=0
            )
        except ApiError as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise

    # -- telling

    def _report(self) -> None:
        """Have the pod's status written, if it changed."""
        if self.is_gone:
            return
        facts = Facts(
            now_s=self._with.clock.wall(),
            host_ips=self._with.host_ips,
            runtime_name=self._with.runtime_name(),
            healths=self._with.prober.healths(self.uid),
            waiting=self._waiting,
            resources=self._resizing.statuses(self._with.observer.pod(self.uid)),
            more_conditions=self._resizing.conditions,
            finished=self._has_ended,
            ending=self._ending,
        )
        runtime = self._with.observer.pod(self.uid)
        last = self._with.writer.last(self.pod)
        self._with.writer.submit(self.pod, status_of(self.pod, runtime, last, facts))


def _matters(before: pods.Pod, after: pods.Pod) -> bool:
    """Tell whether a change of a pod is more than the echo of a status that was written from here."""
    if before["spec"] != after["spec"] or pods.phase(before) != pods.phase(after):
        return True
    fields = ("uid", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "generation")
    if any(before["metadata"].get(field) != after["metadata"].get(field) for field in fields):
        return True
    return _conditions_of_others(before) != _conditions_of_others(after)


def _conditions_of_others(pod: pods.Pod) -> list[dict[str, Any]]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return [item for item in conditions if item["type"] not in OWN_CONDITIONS]
