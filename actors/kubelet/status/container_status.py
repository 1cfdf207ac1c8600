"""The ContainerStatus of each container of a pod: state, the state before it, readiness, counts, ids.

Pure. What the runtime no longer has (its records were collected, or lost with the machine) is taken from `previous`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from actors.api.meta import rfc3339
from actors.kubelet import pod as pods
from actors.kubelet.compute import Healths, restart_count_of
from actors.kubelet.observed import PodRuntime, has_exited, is_alive, is_running, succeeded
from actors.kubelet.runtime import ContainerState, ContainerStatus

NS_PER_S = 1_000_000_000
LOST = {
    "exitCode": 137,  # as if killed: nobody saw the end
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
    "startedAt": None,
    "finishedAt": None,
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run yet: ErrImagePull, CreateContainerConfigError, CrashLoopBackOff ..."""

    reason: str
    message: str = ""


class _Facts(Protocol):
    @property
    def runtime_name(self) -> str: ...
    @property
    def healths(self) -> Healths: ...
    @property
    def waiting(self) -> Mapping[str, Waiting]: ...
    @property
    def hooked(self) -> str: ...
    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def finished(self) -> bool: ...
    @property
    def recursive_readonly(self) -> bool: ...


def container_statuses(
    pod: pods.Pod,
    containers: list[pods.ContainerDict],
    runtime: PodRuntime,
    previous: dict[str, Any],
    facts: _Facts,
    list_name: str,
) -> list[dict[str, Any]]:
    """Return the statuses of one of the pod's three lists of containers, in the order of the spec."""
    before = {item["name"]: item for item in previous.get(list_name) or ()}
    return [_status(pod, item, runtime, before.get(item["name"]), facts) for item in containers]


def _status(
    pod: pods.Pod,
    container: pods.ContainerDict,
    runtime: PodRuntime,
    before: dict[str, Any] | None,
    facts: _Facts,
) -> dict[str, Any]:
    name = container["name"]
    newest = runtime.newest(name)
    if newest is None:
        return _without_instance(pod, container, runtime, before, facts)
    state, last = _states(pod, container, runtime, newest, before, facts)
    running = "running" in state
    started, ready = health_of(container, newest, facts.healths) if running else (False, False)
    if _is_ordinary_init(pod, container):
        ready = has_exited(newest) and newest.exit_code == 0
        started = running
    count = restart_count_of(newest)
    return {
        "name": name,
        "state": state,
        "lastState": last,
        "ready": ready,
        "started": started,
        "restartCount": max(count, int(before.get("restartCount", 0))) if before else count,
        "image": newest.container.image or container.get("image", ""),
        "imageID": newest.image_ref or newest.container.image_id,
        "containerID": container_id(facts.runtime_name, newest.container.id),
        **_stop_signal(container),
        **_volume_mounts(container, facts),
        **_user(newest),
        **facts.resources.get(name, {}),
    }


def _stop_signal(container: pods.ContainerDict) -> dict[str, Any]:
    """Say by which signal the container is ended, where its pod names one."""
    signal = (container.get("lifecycle") or {}).get("stopSignal")
    return {"stopSignal": signal} if signal else {}


def _volume_mounts(container: pods.ContainerDict, facts: _Facts) -> dict[str, Any]:
    """Say how each volume is mounted, and whether what is mounted inside of it is read-only, too."""
    mounts = []
    for wanted in container.get("volumeMounts") or ():
        mount = {"name": wanted["name"], "mountPath": wanted["mountPath"]}
        if wanted.get("readOnly"):
            asked = wanted.get("recursiveReadOnly") in ("Enabled", "IfPossible") and facts.recursive_readonly
            mount |= {"readOnly": True, "recursiveReadOnly": "Enabled" if asked else "Disabled"}
        mounts.append(mount)
    return {"volumeMounts": mounts} if mounts else {}


def _user(status: ContainerStatus) -> dict[str, Any]:
    """Say whom the first process runs as, where the runtime tells."""
    if status.user is None:
        return {}
    uid, gid, groups = status.user
    linux: dict[str, Any] = {"uid": uid, "gid": gid}
    if groups:
        linux["supplementalGroups"] = list(groups)
    return {"user": {"linux": linux}}


def health_of(container: pods.ContainerDict, status: ContainerStatus, healths: Healths) -> tuple[bool, bool]:
    """Return (started, ready) of an instance; without a probe's word, a container with probes is neither."""
    if not is_running(status):
        return False, False
    health = healths.get(status.container.id)
    if health is not None:
        return health.started, health.started and health.ready
    started = not container.get("startupProbe")
    return started, started and not container.get("readinessProbe")


def container_id(runtime_name: str, identity: str) -> str:
    return f"{runtime_name}://{identity}"


def _states(
    pod: pods.Pod,
    container: pods.ContainerDict,
    runtime: PodRuntime,
    newest: ContainerStatus,
    before: dict[str, Any] | None,
    facts: _Facts,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (state, lastState)."""
    waiting = facts.waiting.get(container["name"])
    if is_alive(newest) and container["name"] == facts.hooked:
        state = _waiting(_default_waiting(pod))  # it can't reach a running state before its postStart hook has ended
    elif is_alive(newest):
        state = {"running": {"startedAt": _time_of(newest.started_ns)}}
    elif waiting is not None and not facts.finished:
        state = _waiting(waiting)
        if has_exited(newest):
            return state, {"terminated": _terminated(newest, facts.runtime_name)}
    elif newest.container.state is ContainerState.CREATED:
        state = _waiting(_default_waiting(pod))
    else:
        state = {"terminated": _terminated(newest, facts.runtime_name)}
    return state, _last_state(runtime, newest, before, facts)


def _last_state(
    runtime: PodRuntime, newest: ContainerStatus, before: dict[str, Any] | None, facts: _Facts
) -> dict[str, Any]:
    """Return how the instance before the newest ended, from the runtime or from what was written before."""
    for item in runtime.instances(newest.container.name):
        if item is not newest and has_exited(item):
            return {"terminated": _terminated(item, facts.runtime_name)}
    if before is None:
        return {}
    ended = (before.get("state") or {}).get("terminated")
    if ended and ended.get("containerID") != container_id(facts.runtime_name, newest.container.id):
        return {"terminated": ended}
    return before.get("lastState") or {}


def _terminated(status: ContainerStatus, runtime_name: str) -> dict[str, Any]:
    state: dict[str, Any] = {
        "exitCode": status.exit_code,
        "reason": status.reason or ("Completed" if status.exit_code == 0 else "Error"),
        "startedAt": _time_of(status.started_ns),
        "finishedAt": _time_of(status.finished_ns),
        "containerID": container_id(runtime_name, status.container.id),
    }
    if status.message:
        state["message"] = status.message
    return state


def _waiting(waiting: Waiting) -> dict[str, Any]:
    state = {"reason": waiting.reason}
    if waiting.message:
        state["message"] = waiting.message
    return {"waiting": state}


def _default_waiting(pod: pods.Pod) -> Waiting:
    return Waiting("PodInitializing" if pods.init_containers(pod) else "ContainerCreating")


def _without_instance(
    pod: pods.Pod,
    container: pods.ContainerDict,
    runtime: PodRuntime,
    before: dict[str, Any] | None,
    facts: _Facts,
) -> dict[str, Any]:
    """The runtime knows no instance: there never was one, or it was lost."""
    waiting = facts.waiting.get(container["name"]) or _default_waiting(pod)
    status: dict[str, Any] = {
        "name": container["name"],
        "state": _waiting(waiting),
        "lastState": (before or {}).get("lastState") or {},
        "ready": False,
        "started": False,
        "restartCount": int((before or {}).get("restartCount", 0)),
        "image": container.get("image", ""),
        "imageID": (before or {}).get("imageID", ""),
    }
    if not before or not before.get("containerID"):
        if facts.finished and container in pods.containers(pod) and _is_initialized(pod, runtime):
            status["state"] = {"terminated": LOST}  # its turn had come, and it will never start
        return status
    status["containerID"] = before["containerID"]
    ended = (before.get("state") or {}).get("terminated")
    if ended is None and "running" in (before.get("state") or {}):
        ended = LOST
    is_done = ended is not None and _is_ordinary_init(pod, container) and ended["exitCode"] == 0
    if ended is not None and (is_done or facts.finished or pods.is_deleting(pod)):
        status["state"] = {"terminated": ended}
        status["ready"] = is_done
    elif ended is not None:
        status["lastState"] = {"terminated": ended}
    return status


def _is_initialized(pod: pods.Pod, runtime: PodRuntime) -> bool:
    return all(
        succeeded(runtime.newest(item["name"])) for item in pods.init_containers(pod) if not pods.is_sidecar(item)
    )


def _is_ordinary_init(pod: pods.Pod, container: pods.ContainerDict) -> bool:
    """Tell whether this is an init container that runs to its end: such a one counts as ready when it succeeded."""
    return container in pods.init_containers(pod) and not pods.is_sidecar(container)


def _time_of(ns: int) -> str | None:
    """Return a metav1.Time of the runtime's nanoseconds; null where the runtime has none."""
    return rfc3339(ns / NS_PER_S) if ns > 0 else None
