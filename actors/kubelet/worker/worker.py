"""One pod on this node, from its binding to its removal: look, decide, act, tell; again whenever something changed.

A worker runs only while it has something to do; `poke` wakes it. Its steps follow each other, those of different pods
overlap. All it knows is in the API, in the runtime and on the disk, so it may die at any line: the next one looks
again.

Sends: calls to the runtime, pod statuses, events, and at the end the pod's deletion. Receives: changes of the pod
(`update`, `gone`), of the runtime (`poke`) and of probes (`health_changed`).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from actors.api.errors import DATA_ERRORS, ApiError
from actors.api.meta import parse_time
from actors.kubelet import pod as pods
from actors.kubelet.compute import PodActions, compute_pod_actions
from actors.kubelet.observed import PodRuntime
from actors.kubelet.resize import Resizing, of_pod
from actors.kubelet.runtime import RuntimeFault
from actors.kubelet.starter import RETRY_S
from actors.kubelet.status.pod_status import OWN_CONDITIONS, Ending, Facts, status_of
from actors.kubelet.volumes import mounting
from actors.kubelet.worker.equipment import Equipment
from actors.kubelet.worker.leaving import Leaving
from actors.kubelet.worker.life import Life
from actors.kubelet.worker.living import Living
from actors.kubelet.worker.resizer import Resizer
from bus import BusError

MAX_RETRY_S = 10.0


class PodWorker:
    def __init__(self, equipment: Equipment, pod: pods.Pod, on_removed: Callable[["PodWorker"], None]):
        self.is_admitted = False  # it counts for what the node has left
        self._is_new = True
        self._with = equipment
        self._on_removed = on_removed
        self._task: asyncio.Task[None] | None = None
        self._dirty = False
        # When the pod was seen first, until it runs.
        self._seen_s = equipment.clock.monotonic() if pods.phase(pod) == "Pending" else None
        self._timer: tuple[float, asyncio.TimerHandle] | None = None
        self._life = life = Life(pod)
        self._resizing = Resizing()
        self._resizer = Resizer(equipment, life, self._resizing, self._report)
        self._living = Living(equipment, life, self._resizing, self._report, self._mark_dirty)
        self._leaving = Leaving(equipment, life, self._report)

    # -- what others tell

    def update(self, pod: pods.Pod) -> None:
        """Take a newer state of the pod."""
        before, self._life.pod = self._life.pod, pod
        self._with.writer.observe(pod)
        if not self._matters(before, pod):
            return
        if any(before["metadata"].get(field) != pod["metadata"].get(field) for field in ("labels", "annotations")):
            self._living.files_are_stale = True
            self._living.retry_s.clear()
        if pods.is_deleting(pod):
            self._leaving.shrink(pods.grace_period_s(pod))
        if before["spec"] != pod["spec"]:
            self._living.retry_s.clear()
        self.poke()

    def gone(self) -> None:
        """The API no longer has the pod."""
        self._life.is_gone = True
        self.poke()

    def objects_changed(self) -> None:
        """Something that the pod's files or variables are made of has changed."""
        self._living.files_are_stale = True
        self.try_again()

    def try_again(self) -> None:
        """What may have kept the pod from starting has changed: wait no longer."""
        self._living.retry_s.clear()
        self.poke()

    def poke(self) -> None:
        """Look at the pod soon."""
        if self._life.must_end:
            self._life.ending_begun.set()
            self._with.prober.end(self.uid, self._with.observer.pod(self.uid))
        self._dirty = True
        if self._task is None and not self.is_removed:
            self._task = self._with.spawn(self._run(), f"pod {pods.key(self.pod)}")

    def health_changed(self) -> None:
        """A probe has found out something new. A pod that is being ended is still asked whether it is ready."""
        if self.is_ending and not self.has_ended:
            self._report()
        self.poke()

    def end(self, ending: Ending) -> None:
        """End the pod on the kubelet's own account: it fails, and is not started again."""
        if not self.is_ending:
            self._life.ending = ending
            self._with.tell(self.pod, "Warning", ending.reason, ending.message)
            self.poke()

    async def told(self) -> None:
        """Return when the pod has ended, and the API knows how."""
        await self._leaving.ended.wait()
        await self._with.writer.flushed(self.pod["metadata"]["uid"])

    @property
    def pod(self) -> pods.Pod:
        """The pod as the API has it."""
        return self._life.pod

    @property
    def is_gone(self) -> bool:
        """Whether the API no longer has it."""
        return self._life.is_gone

    @property
    def is_removed(self) -> bool:
        """Whether nothing of it is left here."""
        return self._leaving.is_done

    @property
    def is_ending(self) -> bool:
        return self._life.must_end

    @property
    def has_ended(self) -> bool:
        """Whether no process of the pod is left."""
        return self._life.has_ended

    @property
    def uid(self) -> str:
        return self._life.uid

    # -- the loop

    def _mark_dirty(self) -> None:
        self._dirty = True

    async def _run(self) -> None:
        limiter, counts = self._with.limiter, self._with.counts
        try:
            while self._dirty and not self.is_removed:
                self._dirty = False
                try:
                    begun_s = self._with.clock.monotonic()
                    await self._sync()
                    self._count_sync(begun_s)
                    limiter.forget(self.uid)
                except (RuntimeFault, ApiError, BusError) as error:
                    self._with.log.debug("will try a pod again", pod=pods.key(self.pod), error=str(error))
                    self._try_later()
                except OSError as error:  # the node's disk is full, or worse: that is no other pod's fault
                    self._with.log.warning("the node fails a pod", pod=pods.key(self.pod), error=str(error))
                    self._try_later()
                except DATA_ERRORS as error:  # nor is a pod whose shape nobody foresaw
                    counts.worker_faults += 1
                    self._with.log.error("a pod cannot be dealt with", pod=pods.key(self.pod), exc_info=error)
                    self._try_later()
        finally:
            self._task = None
        if self.is_removed:
            if self._timer is not None:
                self._timer[1].cancel()
            self._on_removed(self)
        elif self._dirty:
            self.poke()

    def _try_later(self) -> None:
        delay_s = min(self._with.limiter.delay_s(self.uid), MAX_RETRY_S)
        self._wake_at(self._with.clock.wall() + delay_s)

    async def _sync(self) -> None:
        if not self._with.observer.synced.is_set():
            return
        now_s = self._with.clock.wall()  # once: what becomes due after it is due at the next look
        self._check_deadline(now_s)
        runtime = self._with.observer.pod(self.uid)
        self._check_admission(runtime)
        if self._life.must_end:
            await self._leaving.end()
            return
        if not self.is_admitted:
            return  # others are ended to make room for it
        self._with.prober.follow(self.pod, runtime)
        self._wake_at(await self._resizer.resize(runtime))
        runtime = self._with.observer.pod(self.uid)
        healths = self._with.prober.healths(self.uid)
        actions = compute_pod_actions(self.pod, runtime, healths, self._with.backoff, now_s)
        if actions.finished:
            self._life.has_finished = True
            await self._leaving.end()
            return
        await self._living.act(actions)
        if not self._life.must_end:
            self._report()
            self._wake_at(self._next_time(actions, now_s))

    def _check_admission(self, runtime: PodRuntime) -> None:
        """Refuse what this node must not start, unless it was taken in already: by this kubelet or one before it."""
        if self.is_admitted or self._life.must_end:
            return
        if not (runtime.sandboxes or runtime.containers or self._with.writer.last(self.pod).get("startTime")):
            refusal = self._with.refusal(self.pod)
            if refusal is not None:
                if not self._with.make_room(self.pod):
                    self.end(refusal)
                return
        self.is_admitted = True
        self._resizing.take_in(self.pod, self._with.writer.last(self.pod))

    def _check_deadline(self, now_s: float) -> None:
        limit_s = self.pod["spec"].get("activeDeadlineSeconds")
        begun = self._with.writer.last(self.pod).get("startTime") if limit_s else None
        if not limit_s or not begun or self._life.ending is not None or pods.is_terminal(self.pod):
            return
        if now_s >= parse_time(begun) + limit_s:
            message = "Pod was active on the node longer than the specified deadline"
            self._life.ending = Ending("DeadlineExceeded", message)
            self._with.tell(self.pod, "Normal", "DeadlineExceeded", message)

    def _next_time(self, actions: PodActions, now_s: float) -> float | None:
        """Return the wall time when the pod is to be looked at again, if nothing happens before.

        `now_s` is when it was looked at: what was not due then, and has become due meanwhile, is due at once.
        """
        times = [actions.wait_until_s, *self._living.retry_s.values()]
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
            waiting=self._living.waiting,
            hooked=self._living.hooked,
            resources=self._resizing.statuses(self._with.observer.pod(self.uid)),
            whole_resources=of_pod(self._resizing),
            more_conditions=self._resizing.conditions,
            finished=self._life.has_ended,
            ending=self._life.ending,
            recursive_readonly=mounting.can_make_all_readonly(),
        )
        runtime = self._with.observer.pod(self.uid)
        last = self._with.writer.last(self.pod)
        status = status_of(self.pod, runtime, last, facts)
        self._with.writer.submit(self.pod, status)
        self._count_start(status["phase"])

    def _count_sync(self, begun_s: float) -> None:
        kind = "kill" if self.is_ending else "create" if self._is_new else "sync"
        self._is_new = False
        self._with.counts.pod_syncs.observe(self._with.clock.monotonic() - begun_s, kind)

    def _count_start(self, phase: str) -> None:
        if self._seen_s is None or phase == "Pending":
            return
        if phase == "Running":
            self._with.counts.pod_started(self._with.clock.monotonic() - self._seen_s)
        self._seen_s = None

    def _matters(self, before: pods.Pod, after: pods.Pod) -> bool:
        """Tell whether a change of a pod is more than the echo of a status that was written from here."""
        if pods.phase(after) != pods.phase(before):
            is_echo = pods.phase(after) == self._with.writer.written_phase(after)
            if pods.is_terminal(after) or not is_echo:
                return True
        return _differ(before, after)


def _differ(before: pods.Pod, after: pods.Pod) -> bool:
    """Tell whether something of a pod has changed that its kubelet does not write."""
    if before["spec"] != after["spec"]:
        return True
    fields = ("uid", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "generation")
    if any(before["metadata"].get(field) != after["metadata"].get(field) for field in fields):
        return True
    return _conditions_of_others(before) != _conditions_of_others(after)


def _conditions_of_others(pod: pods.Pod) -> list[dict[str, Any]]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return [item for item in conditions if item["type"] not in OWN_CONDITIONS]
