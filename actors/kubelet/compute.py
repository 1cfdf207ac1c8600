"""What to do to a pod next: from what it shall be, what the runtime has, and what the probes say, to actions.

Pure and level-triggered: it is asked again after every action, event and timer, and answers from the state it then
finds, so that a kubelet that died between any two actions goes on where it left. No actions means the pod is as it
shall be, or waits for something that will ask again (`wait_until_s`, a probe, the end of a container).

Neighbours: `worker` carries the actions out; `status` tells the API. Pods that are being deleted, or have ended, do not
come here: `worker` terminates them. The rules are those of Kubernetes' documentation of the pod lifecycle, of KEP-753
(sidecars) and of KEP-277 (ephemeral containers).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.backoff import Backoff
from actors.kubelet.observed import PodRuntime, has_exited, is_alive, is_running, succeeded
from actors.kubelet.restart_rules import all_restart_ns, may_restart, restarts
from actors.kubelet.runtime import CONTAINER_HASH, RESTART_COUNT, ContainerState, ContainerStatus

NS_PER_S = 1_000_000_000
DEAD_INSTANCES_KEPT = 1  # the last dead instance of a container stays, for `logs --previous` and lastState


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes know of one container instance. `failed` is "", "Liveness" or "Startup"."""

    started: bool = True
    ready: bool = True
    failed: str = ""
    grace_s: float | None = None  # the failed probe's own terminationGracePeriodSeconds


Healths = Mapping[str, Health]  # by container id


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container anew. `replaces` is the dead instance that it follows, for the backoff; `adopts` is the id of
    an instance that was made and, as far as is known, not started: it is the one to start."""

    name: str
    restart_count: int
    replaces: ContainerStatus | None = None
    adopts: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    container_id: str
    name: str
    reason: str  # of the message that goes into the Killing event
    grace_s: float | None = None  # None: the pod's


@dataclass(frozen=True, slots=True)
class PodActions:
    """In the order in which they are carried out. `finished` says that the pod shall be terminated instead."""

    kill_pod: bool = False  # what is left of an earlier sandbox
    create_sandbox: bool = False
    sandbox_attempt: int = 0
    kill: tuple[Kill, ...] = ()
    remove: tuple[str, ...] = ()  # ids of dead containers that nobody needs
    start: tuple[Start, ...] = ()
    back_off: Mapping[str, float] = field(default_factory=dict)  # container name -> wall seconds when it may start
    finished: bool = False  # every container has ended and none is to start again

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do or to note."""
        return not (self.kill_pod or self.create_sandbox or self.kill or self.remove or self.start or self.back_off)

    @property
    def wait_until_s(self) -> float | None:
        return min(self.back_off.values(), default=None)


def compute_pod_actions(
    pod: pods.Pod, runtime: PodRuntime, healths: Healths, backoff: Backoff, now_s: float
) -> PodActions:
    """Return what brings the pod nearer to its spec. `backoff` is only read."""
    decision = _Decision(pod, runtime, healths)
    if decision.sandbox_is_lost():
        actions = decision.with_new_sandbox()
    else:
        actions = decision.in_sandbox()
    return _hold_back(pod, _tidy(pod, runtime, actions), backoff, now_s)


class _Decision:
    """One run of `compute_pod_actions`; collects while it walks the containers."""

    def __init__(self, pod: pods.Pod, runtime: PodRuntime, healths: Healths):
        self.pod, self.runtime, self.healths = pod, runtime, healths
        self.policy = pods.restart_policy(pod)
        self.all_restart_ns = all_restart_ns(pod, runtime)
        self.start: list[Start] = []
        self.kill: list[Kill] = []

    # -- the sandbox

    def sandbox_is_lost(self) -> bool:
        sandbox = self.runtime.sandbox
        if sandbox is None or not sandbox.sandbox.ready:
            return True
        if sum(item.sandbox.ready for item in self.runtime.sandboxes) > 1:
            return True
        if sandbox.host_network != pods.is_host_network(self.pod):
            return True
        return not sandbox.ips and not sandbox.host_network

    def with_new_sandbox(self) -> PodActions:
        """A pod without its sandbox begins again: init containers too, but nothing that has ended for good."""
        sandbox = self.runtime.sandbox
        attempt = 0 if sandbox is None else sandbox.sandbox.attempt + 1
        if self.policy == "Never" and attempt and self.runtime.containers:
            return PodActions(finished=True)
        wanted = [item for item in pods.containers(self.pod) if not self._is_done(item)]
        if not wanted:
            return PodActions(finished=True)
        first = pods.init_containers(self.pod)[:1] or wanted
        return PodActions(
            kill_pod=self.runtime.ready_sandbox is not None or bool(self.runtime.running()),
            create_sandbox=True,
            sandbox_attempt=attempt,
            start=tuple(self._start(item) for item in first),
        )

    def _is_done(self, container: pods.ContainerDict) -> bool:
        """Tell whether a container has ended and its policy wants no other instance."""
        status = self.runtime.newest(container["name"])
        return has_exited(status) and not self._restarts(container, status)

    # -- inside a sandbox

    def in_sandbox(self) -> PodActions:
        self._end_earlier()
        if self.kill:
            return PodActions(kill=tuple(self.kill))
        for container in pods.ephemeral_containers(self.pod):
            if self.runtime.newest(container["name"]) is None:
                self._begin(container)
        verdict = self._init_containers()
        if verdict == "failed":
            return PodActions(finished=True)
        if verdict == "incomplete":
            return PodActions(kill=tuple(self.kill), start=tuple(self.start))
        kept = [self._regular(container) for container in pods.containers(self.pod)]
        if not any(kept):
            return PodActions(finished=True)
        return PodActions(kill=tuple(self.kill), start=tuple(self.start))

    def _end_earlier(self) -> None:
        """When all containers are to start again, what runs from before ends first."""
        if self.all_restart_ns:
            ephemeral = {item["name"] for item in pods.ephemeral_containers(self.pod)}
            for status in self.runtime.running():
                name, running = status.container.name, status.container
                if running.created_ns <= self.all_restart_ns and name not in ephemeral:
                    reason = f"Container {name} will be restarted, as all containers of the pod"
                    self.kill.append(Kill(running.id, name, reason))

    def _newest(self, name: str) -> ContainerStatus | None:
        """Return the newest instance of a container, unless it counts no more since all start again."""
        status = self.runtime.newest(name)
        return status if status is not None and status.container.created_ns > self.all_restart_ns else None

    def _regular(self, container: pods.ContainerDict) -> bool:
        """Decide on one regular container; tell whether it may still run, or shall."""
        status = self._newest(container["name"])
        if status is None or not is_alive(status):
            if status is not None and has_exited(status) and not self._restarts(container, status):
                return False
            self._begin(container)
            return True
        self._check_alive(container, status, restart=may_restart(self.pod, container))
        return True

    def _check_alive(self, container: pods.ContainerDict, status: ContainerStatus, restart: bool) -> None:
        """Decide on a container that may have a process: keep it, or kill it and start another."""
        name, running = container["name"], status.container
        health = self.healths.get(running.id)
        kill: Kill | None = None
        if running.state is ContainerState.UNKNOWN:
            restart, kill = True, Kill(running.id, name, "Container is in unknown state, try killing it before restart")
        elif _outdated(container, status):
            restart, kill = True, Kill(running.id, name, f"Container {name} definition changed, will be restarted")
        elif health is not None and health.failed:
            probe = health.failed.lower()
            suffix = ", will be restarted" if restart else ""
            kill = Kill(running.id, name, f"Container {name} failed {probe} probe{suffix}", health.grace_s)
        if kill is not None:
            self.kill.append(kill)
            if restart:
                self._begin(container)

    # -- init containers

    def _init_containers(self) -> str:
        """Decide on init containers: "complete" (regular ones may run), "incomplete", or "failed" for good."""
        inits = pods.init_containers(self.pod)
        initialized = self._was_initialized()
        for container in inits:
            if pods.is_sidecar(container):
                if not self._sidecar(container) and not initialized:
                    return "incomplete"
            elif not initialized:
                verdict = self._init(container)
                if verdict != "complete":
                    return verdict
        return "complete"

    def _was_initialized(self) -> bool:
        """Tell whether a regular container was made in the living sandbox: then initialization was complete."""
        sandbox = self.runtime.sandbox
        regular = {item["name"] for item in pods.containers(self.pod)}
        return sandbox is not None and any(
            item.container.name in regular
            and item.container.sandbox_id == sandbox.sandbox.id
            and item.container.created_ns > self.all_restart_ns
            for item in self.runtime.containers
        )

    def _init(self, container: pods.ContainerDict) -> str:
        status = self._in_this_sandbox(container)
        if succeeded(status):
            return "complete"
        if status is not None and is_running(status):
            return "incomplete"
        if status is not None and has_exited(status) and not self._restarts(container, status):
            return "failed"
        if status is not None and is_alive(status):
            self.kill.append(Kill(status.container.id, container["name"], "Init container is in unknown state"))
        self._begin(container)
        return "incomplete"

    def _sidecar(self, container: pods.ContainerDict) -> bool:
        """Decide on a restartable init container; tell whether it has started, so that the next one may."""
        status = self._in_this_sandbox(container)
        if status is None or not is_alive(status):
            self._begin(container)
            return False
        killed = len(self.kill)
        self._check_alive(container, status, restart=True)
        if len(self.kill) > killed:
            return False
        health = self.healths.get(status.container.id)
        return health.started if health is not None else not container.get("startupProbe")

    def _in_this_sandbox(self, container: pods.ContainerDict) -> ContainerStatus | None:
        status, sandbox = self._newest(container["name"]), self.runtime.sandbox
        if status is None or sandbox is None or status.container.sandbox_id != sandbox.sandbox.id:
            return None
        return status

    # -- starting

    def _restarts(self, container: pods.ContainerDict, status: ContainerStatus | None) -> bool:
        """An instance that was lost without a word counts as failed."""
        return restarts(self.pod, container, 1 if status is None else status.exit_code)

    def _start(self, container: pods.ContainerDict) -> Start:
        name = container["name"]
        return Start(name, restart_count_of_next(self.pod, self.runtime, name), self.runtime.newest(name))

    def _begin(self, container: pods.ContainerDict) -> None:
        made = self._in_this_sandbox(container)
        start = self._start(container)
        if made is not None and _is_to_be_started(container, made):
            start = replace(start, adopts=made.container.id)
        self.start.append(start)


def restart_count_of(status: ContainerStatus) -> int:
    """Return how often the container had been restarted when this instance was made."""
    text = status.container.annotations.get(RESTART_COUNT, "")
    return int(text) if text.isdigit() else status.container.attempt


def restart_count_of_next(pod: pods.Pod, runtime: PodRuntime, name: str) -> int:
    """Return the restart count of a container's next instance: one that was made but never started does not count."""
    newest = runtime.newest(name)
    recorded: dict[str, Any] | None = pods.recorded_status(pod, name)
    counts = []
    if newest is not None:
        counts.append(restart_count_of(newest) + (newest.container.state is not ContainerState.CREATED))
    if recorded is not None and recorded.get("containerID"):
        same = newest is not None and recorded["containerID"].endswith("//" + newest.container.id)
        counts.append(int(recorded.get("restartCount", 0)) + (newest is None or not same))
    return max(counts, default=0)


def _outdated(container: pods.ContainerDict, status: ContainerStatus) -> bool:
    made_from = status.container.annotations.get(CONTAINER_HASH)
    return made_from is not None and made_from != pods.container_hash(container)


def _is_to_be_started(container: pods.ContainerDict, status: ContainerStatus) -> bool:
    """Tell whether an instance only waits for its start. Its maker died, or the runtime did, in between; or else the
    start is under way, which the runtime knows. To make another would run both."""
    is_fresh = status.container.state is ContainerState.CREATED and not status.finished_ns
    return is_fresh and not _outdated(container, status)


def _tidy(pod: pods.Pod, runtime: PodRuntime, actions: PodActions) -> PodActions:
    """Add the removal of dead instances: never started ones that are replaced, and all but the last of the ended."""
    starting = {item.name for item in actions.start}
    adopted = {item.adopts for item in actions.start}
    remove = []
    for name in {item.container.name for item in runtime.containers}:
        dead = [item for item in runtime.instances(name) if has_exited(item)]
        remove += [item.container.id for item in dead[DEAD_INSTANCES_KEPT:]]
        if name in starting:
            made = (item for item in runtime.instances(name) if item.container.state is ContainerState.CREATED)
            remove += [item.container.id for item in made if item.container.id not in adopted]
    return replace(actions, remove=tuple(sorted(remove))) if remove else actions


def _hold_back(pod: pods.Pod, actions: PodActions, backoff: Backoff, now_s: float) -> PodActions:
    """Take out of `start` what crashed too recently."""
    held: dict[str, float] = {}
    for item in actions.start:
        if item.replaces is None or item.replaces.container.state is ContainerState.CREATED:
            continue
        due_s = backoff.due_s(backoff_key(pod, item.name), ended_s(item.replaces, now_s))
        if due_s > now_s:
            held[item.name] = due_s
    if not held:
        return actions
    return replace(actions, start=tuple(item for item in actions.start if item.name not in held), back_off=held)


def ended_s(status: ContainerStatus, now_s: float) -> float:
    """Return when an instance ended; one that is about to be killed ends now."""
    return min(status.finished_ns / NS_PER_S, now_s) if has_exited(status) else now_s


def backoff_key(pod: pods.Pod, container_name: str) -> str:
    """Return a key that changes with the container's image: a new one starts without delay."""
    container = pods.find_container(pod, container_name)
    return f"{backoff_prefix(pods.uid(pod))}{container_name}/{pods.container_hash(container) if container else ''}"


def backoff_prefix(uid: str) -> str:
    """Return how the keys of a pod's containers begin."""
    return f"{uid}/"
