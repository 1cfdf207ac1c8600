"""Asks the probes of the containers on a node when they are due, and keeps what they say.

The thresholds are `probe`'s; the asking is `checks`'. One timer for a container with probes, a task only while one is
asked. A probe is asked again when its answer is there, and not before: one that hangs must not be asked by hundreds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.kubelet import pod as pods
from actors.kubelet.compute import Health
from actors.kubelet.measure import Durations
from actors.kubelet.observed import PodRuntime, is_running
from actors.kubelet.probes.checks import Outcome, Target
from actors.kubelet.probes.probe import ContainerProbes, ProbeKind
from runtime.background import spawn
from runtime.clock import Clock

NS_PER_S = 1_000_000_000
PROBE_LABELS = ("probe_type", "result", "container", "pod", "namespace", "pod_uid")
DURATION_LABELS = ("probe_type", "container", "pod", "namespace")

Check = Callable[[Target, dict[str, Any], float], Awaitable[Outcome]]


class Probing(Protocol):
    """What a worker needs of probes, asked in earnest or answered by rule."""

    def follow(self, pod: pods.Pod, runtime: PodRuntime) -> None: ...

    def healths(self, uid: str) -> Mapping[str, Health]: ...

    def end(self, uid: str, runtime: PodRuntime) -> None:
        """A pod is being ended: what runs of it is asked whether it is ready, and nothing else any more."""

    def forget(self, uid: str) -> None: ...

    def results(self) -> Iterable[tuple[Sequence[str], int]]:
        """Return how often which result was had, by PROBE_LABELS, of the pods that are here."""

    def durations(self) -> Iterable[Durations]:
        """Return how long probes took that could be asked, by DURATION_LABELS, of the pods that are here."""


@dataclass(slots=True)
class _Watched:
    pod: pods.Pod
    target: Target
    probes: ContainerProbes
    timer: asyncio.TimerHandle | None = None
    asking: dict[ProbeKind, "asyncio.Task[None]"] = field(default_factory=dict)


class Prober:
    def __init__(
        self,
        check: Check,
        on_change: Callable[[str], None],
        on_failure: Callable[[pods.Pod, str, str, str], None],
        clock: Clock,
        host_ips: Sequence[str] = (),
    ):
        """`on_change(pod uid)` after a change of health; `on_failure(pod, container, reason, message)` after a no,
        or after a yes with a remark; `host_ips` is where pods in the node's own network are."""
        self._host_ips = host_ips
        self._check, self._on_change, self._on_failure, self._clock = check, on_change, on_failure, clock
        self._watched: dict[str, dict[str, _Watched]] = {}  # pod uid -> container id
        self._results: dict[str, dict[tuple[str, ...], int]] = {}  # pod uid -> PROBE_LABELS but the uid
        self._durations: dict[str, Durations] = {}  # pod uid -> by DURATION_LABELS

    def follow(self, pod: pods.Pod, runtime: PodRuntime) -> None:
        """Probe the running containers of a pod, and no others any more."""
        of_pod = self._watched.get(pods.uid(pod), {})
        wanted = {}
        for container in pods.all_containers(pod):
            status = runtime.newest(container["name"])
            if status is not None and is_running(status) and ContainerProbes.wanted(container):
                wanted[status.container.id] = (container, status)
        for gone in [identity for identity in of_pod if identity not in wanted]:
            self._drop(of_pod.pop(gone))
        sandbox = runtime.ready_sandbox
        for identity, (container, status) in wanted.items():
            if identity not in of_pod and sandbox is not None:
                ips = pods.addresses(pod, sandbox.ips, self._host_ips)
                of_pod[identity] = self._begin(pod, identity, container, status.started_ns, ips)
        if of_pod:
            self._watched[pods.uid(pod)] = of_pod
        else:
            self._watched.pop(pods.uid(pod), None)

    def healths(self, uid: str) -> dict[str, Health]:
        return {identity: item.probes.health for identity, item in self._watched.get(uid, {}).items()}

    def end(self, uid: str, runtime: PodRuntime) -> None:
        """What was said of containers that run no more is kept, for the pod's last statuses."""
        running = {status.container.id for status in runtime.containers if is_running(status)}
        for identity, item in self._watched.get(uid, {}).items():
            item.probes.end()
            if identity in running:
                self._stop_asking(item, (ProbeKind.STARTUP, ProbeKind.LIVENESS))
                self._schedule(item)
            else:
                self._drop(item)

    def forget(self, uid: str) -> None:
        for item in self._watched.pop(uid, {}).values():
            self._drop(item)
        self._results.pop(uid, None)
        self._durations.pop(uid, None)

    def results(self) -> Iterator[tuple[Sequence[str], int]]:
        for uid, counts in self._results.items():
            for labels, count in counts.items():
                yield (*labels, uid), count

    def durations(self) -> Iterable[Durations]:
        return self._durations.values()

    def _begin(
        self, pod: pods.Pod, identity: str, container: dict[str, Any], started_ns: int, ips: Sequence[str]
    ) -> _Watched:
        age_s = max(0.0, self._clock.wall() - started_ns / NS_PER_S)
        probes = ContainerProbes(container, self._clock.monotonic() - age_s)
        recorded = pods.recorded_status(pod, container["name"])
        if recorded and recorded.get("containerID", "").endswith("//" + identity):
            probes.adopt(bool(recorded.get("started")), bool(recorded.get("ready")))
        item = _Watched(pod, Target(identity, container, ips), probes)
        self._schedule(item)
        return item

    def _schedule(self, item: _Watched) -> None:
        if item.timer is not None:
            item.timer.cancel()
            item.timer = None
        due = item.probes.next_due(but=item.asking)
        if due is not None:
            delay_s = max(0.0, due[0] - self._clock.monotonic())
            item.timer = asyncio.get_running_loop().call_later(delay_s, self._ask, item, due[1])

    def _ask(self, item: _Watched, kind: ProbeKind) -> None:
        item.timer = None
        item.probes.begin(kind, self._clock.monotonic())
        item.asking[kind] = spawn(self._ask_once(item, kind), f"{kind.value} probe of {pods.key(item.pod)}")
        self._schedule(item)

    async def _ask_once(self, item: _Watched, kind: ProbeKind) -> None:
        spec = item.probes.spec(kind)
        begun_s = self._clock.monotonic()
        outcome = await self._check(item.target, spec.handler, spec.timeout_s)
        if outcome.is_known:
            self._count_duration(item, kind, self._clock.monotonic() - begun_s)
        item.asking.pop(kind, None)
        self._take(item, kind, outcome)
        self._schedule(item)

    def _take(self, item: _Watched, kind: ProbeKind, outcome: Outcome) -> None:
        self._count(item, kind, outcome)
        if not outcome.is_known:
            why = f"{kind.value} probe errored and resulted in unknown state: {outcome.message}"
            self._on_failure(item.pod, item.target.container["name"], "Unhealthy", why)
            return  # it counts neither way
        name = item.target.container["name"]
        if not outcome.passed:
            self._on_failure(item.pod, name, "Unhealthy", f"{kind.value} probe failed: {outcome.message}")
        elif outcome.message:
            self._on_failure(item.pod, name, "ProbeWarning", f"{kind.value} probe warning: {outcome.message}")
        if item.probes.observe(kind, outcome.passed):
            self._on_change(pods.uid(item.pod))

    def _count(self, item: _Watched, kind: ProbeKind, outcome: Outcome) -> None:
        result = ("successful" if outcome.passed else "failed") if outcome.is_known else "unknown"
        labels = (kind.value, result, item.target.container["name"], pods.name(item.pod), pods.namespace(item.pod))
        counts = self._results.setdefault(pods.uid(item.pod), {})
        counts[labels] = counts.get(labels, 0) + 1

    def _count_duration(self, item: _Watched, kind: ProbeKind, seconds: float) -> None:
        durations = self._durations.setdefault(pods.uid(item.pod), Durations())
        name = item.target.container["name"]
        durations.observe(seconds, kind.value, name, pods.name(item.pod), pods.namespace(item.pod))

    def _drop(self, item: _Watched) -> None:
        if item.timer is not None:
            item.timer.cancel()
            item.timer = None
        self._stop_asking(item, list(item.asking))

    @staticmethod
    def _stop_asking(item: _Watched, kinds: Iterable[ProbeKind]) -> None:
        for kind in kinds:
            if (task := item.asking.pop(kind, None)) is not None:
                task.cancel()
