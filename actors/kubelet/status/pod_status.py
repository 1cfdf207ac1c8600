"""What the API shall know of a pod: from its spec, the runtime and the probes to a PodStatus.

Pure. `previous` is the status last written, or as the API has it: it gives the times of transitions, and what the
runtime has forgotten. A terminal phase is sticky, and withheld until no container runs.

Neighbours: `container_status` makes the parts, `worker` calls, `status.writer` writes. The fields and reasons are those
that Kubernetes documents under "Pod Lifecycle".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.api.meta import rfc3339
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.compute import Health, Healths
from actors.kubelet.observed import PodRuntime
from actors.kubelet.restart_rules import is_restarting_all, may_restart_all, restarts
from actors.kubelet.status.container_status import Waiting, container_statuses

EVICTED = "Evicted"
OWN_CONDITIONS = (
    "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "AllContainersRestarting"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the kubelet ends a pod by itself: DeadlineExceeded, Evicted, Preempting, or an admission's refusal.

    grace_s        above the pod's own, where the node can't wait for that
    is_disruption  the pod did nothing wrong: controllers may count it as a disruption
    """

    reason: str
    message: str
    grace_s: float | None = None
    is_disruption: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a status needs beyond the pod and the runtime."""

    now_s: float
    host_ips: Sequence[str] = ()
    runtime_name: str = ""  # the scheme of container ids
    healths: Healths = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    hooked: str = ""  # the container whose postStart hook is under way
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of container statuses, by container
    whole_resources: Mapping[str, Any] = field(default_factory=dict)  # fields that tell of the pod's as a whole
    more_conditions: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # (reason, message) of what holds
    finished: bool = False  # nothing of the pod will be started again
    ending: Ending | None = None
    recursive_readonly: bool = False  # the kernel can make mounts inside a volume read-only


def status_of(pod: pods.Pod, runtime: PodRuntime, previous: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the PodStatus with all fields that the kubelet owns; conditions of others are left to them."""
    regular = container_statuses(pod, pods.containers(pod), runtime, previous, facts, "containerStatuses")
    inits = container_statuses(pod, pods.init_containers(pod), runtime, previous, facts, "initContainerStatuses")
    ephemeral = container_statuses(
        pod, pods.ephemeral_containers(pod), runtime, previous, facts, "ephemeralContainerStatuses"
    )
    phase = _phase(pod, regular, inits, facts, str(previous.get("phase") or "Pending"))
    if phase in pods.TERMINAL_PHASES and runtime.running():
        phase = str(previous.get("phase") or "Pending")
    status: dict[str, Any] = {"phase": phase}
    if pod["metadata"].get("generation"):
        status["observedGeneration"] = pod["metadata"]["generation"]
    status["conditions"] = _conditions(pod, runtime, regular, inits, phase, previous, facts)
    status |= _addresses(pod, runtime, previous, facts)
    status["startTime"] = previous.get("startTime") or rfc3339(facts.now_s)
    if _was_refused(runtime, previous, facts):
        regular, inits, ephemeral = [], [], []
    else:
        status["containerStatuses"] = regular
    if inits:
        status["initContainerStatuses"] = inits
    if ephemeral:
        status["ephemeralContainerStatuses"] = ephemeral
    status |= facts.whole_resources
    status["qosClass"] = previous.get("qosClass") or qos.qos_class(pod)
    status |= _reason(previous, facts)
    return status


def _was_refused(runtime: PodRuntime, previous: dict[str, Any], facts: Facts) -> bool:
    """Tell whether the pod was ended before anything was begun for it: then nothing is said of its containers."""
    begun = runtime.sandboxes or runtime.containers or previous.get("containerStatuses")
    return facts.ending is not None and not begun


# -- phase ------------------------------------------------------------------------------------------------------------


def _phase(pod: pods.Pod, regular: list[Any], inits: list[Any], facts: Facts, previous: str) -> str:
    if previous in pods.TERMINAL_PHASES:
        return previous
    if facts.ending is not None:
        return "Failed"
    if facts.finished:
        done = all(_exit_code(item) == 0 for item in regular) and all(_init_is_done(pod, item) for item in inits)
        return "Succeeded" if done else "Failed"
    if inits and not _has_begun(regular):
        if any(_exit_code(item) not in (0, None) and not _restarts(pod, item) for item in inits):
            return "Failed"
        if not all(_init_is_done(pod, item) for item in inits):
            return "Pending"
    if any("waiting" in item["state"] and not item["lastState"] for item in regular):
        return "Pending"
    codes = [_exit_code(item) for item in regular]
    if None in codes or any(_restarts(pod, item) for item in regular):
        return "Running"
    return "Succeeded" if all(code == 0 for code in codes) else "Failed"


def _restarts(pod: pods.Pod, status: dict[str, Any]) -> bool:
    """Whether a container that has ended gets another instance."""
    container, code = pods.find_container(pod, status["name"]), _exit_code(status)
    return container is not None and code is not None and restarts(pod, container, code)


def _has_begun(regular: list[Any]) -> bool:
    return any("waiting" not in item["state"] or item["lastState"] for item in regular)


def _exit_code(status: dict[str, Any]) -> int | None:
    terminated = status["state"].get("terminated")
    return None if terminated is None else int(terminated["exitCode"])


def _init_is_done(pod: pods.Pod, status: dict[str, Any]) -> bool:
    container = pods.find_container(pod, status["name"])
    if container is not None and pods.is_sidecar(container):
        return bool(status.get("started")) or _exit_code(status) is not None
    return _exit_code(status) == 0


# -- conditions -------------------------------------------------------------------------------------------------------


def _conditions(
    pod: pods.Pod,
    runtime: PodRuntime,
    regular: list[Any],
    inits: list[Any],
    phase: str,
    previous: dict[str, Any],
    facts: Facts,
) -> list[dict[str, Any]]:
    has_sandbox = _sandbox_serves(runtime) and phase not in pods.TERMINAL_PHASES
    containers_ready = _containers_ready(regular, inits, pod, phase)
    verdicts = {
        "PodReadyToStartContainers": (has_sandbox, "", ""),
        "Initialized": _initialized(pod, regular, inits, phase),
        "Ready": _ready(pod, containers_ready),
        "ContainersReady": containers_ready,
    }
    if may_restart_all(pod):
        verdicts["AllContainersRestarting"] = _all_restarting(pod, runtime, phase)
    before = {item["type"]: item for item in previous.get("conditions") or ()}
    generation = pod["metadata"].get("generation")
    made = [_condition(kind, *verdict, before.get(kind), generation, facts.now_s) for kind, verdict in verdicts.items()]
    for kind, (reason, message) in facts.more_conditions.items():
        made.append(_condition(kind, True, reason, message, before.get(kind), generation, facts.now_s))
    if facts.ending is not None and facts.ending.is_disruption:
        target, verdict = "DisruptionTarget", (True, "TerminationByKubelet", facts.ending.message)
        made.append(_condition(target, *verdict, before.get(target), generation, facts.now_s))
    return made


def _condition(
    kind: str,
    holds: bool,
    reason: str,
    message: str,
    before: dict[str, Any] | None,
    generation: int | None,
    now_s: float,
) -> dict[str, Any]:
    value = "True" if holds else "False"
    same = before is not None and before.get("status") == value and before.get("lastTransitionTime")
    condition: dict[str, Any] = {
        "type": kind,
        "status": value,
        "lastTransitionTime": before["lastTransitionTime"] if same and before else rfc3339(now_s),
    }
    if generation:
        condition["observedGeneration"] = generation
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _sandbox_serves(runtime: PodRuntime) -> bool:
    sandbox = runtime.sandbox
    return sandbox is not None and sandbox.sandbox.ready and (sandbox.host_network or bool(sandbox.ips))


def _initialized(pod: pods.Pod, regular: list[Any], inits: list[Any], phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    missing = [item["name"] for item in inits if not _init_is_done(pod, item)]
    if not missing or _has_begun(regular):
        return True, "", ""
    return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing)}]"


def _containers_ready(regular: list[Any], inits: list[Any], pod: pods.Pod, phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    sidecars = {item["name"] for item in pods.init_containers(pod) if pods.is_sidecar(item)}
    serving = [item for item in inits if item["name"] in sidecars] + regular
    unready = [item["name"] for item in serving if not item["ready"]]
    if not unready:
        return True, "", ""
    return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"


def _all_restarting(pod: pods.Pod, runtime: PodRuntime, phase: str) -> tuple[bool, str, str]:
    """Say whether all containers are about to start again, for pods that have such a rule (KEP-5532)."""
    if phase in pods.TERMINAL_PHASES:
        return False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""
    if is_restarting_all(pod, runtime):
        return True, "RestartAllContainersStarted", "container exited with restart policy rule"
    return False, "", ""


def _ready(pod: pods.Pod, containers_ready: tuple[bool, str, str]) -> tuple[bool, str, str]:
    """A pod is Ready when its containers are, and every readiness gate that its spec names is True."""
    if not containers_ready[0]:
        return containers_ready
    conditions = {item["type"]: item for item in (pod.get("status") or {}).get("conditions") or ()}
    messages = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in conditions:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif conditions[kind]["status"] != "True":
            messages.append(
                f'the status of pod readiness gate "{kind}" is not "True", but {conditions[kind]["status"]}'
            )
    if messages:
        return False, "ReadinessGatesNotReady", ", ".join(messages)
    return True, "", ""


# -- the rest ---------------------------------------------------------------------------------------------------------


def _addresses(pod: pods.Pod, runtime: PodRuntime, previous: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the addresses; a pod whose network is gone keeps the last one it had while it ends."""
    fields: dict[str, Any] = {}
    if facts.host_ips:
        fields["hostIP"] = facts.host_ips[0]
        fields["hostIPs"] = [{"ip": ip} for ip in facts.host_ips]
    sandbox = runtime.sandbox
    if pods.is_host_network(pod):
        ips = list(facts.host_ips) if sandbox is not None or previous.get("podIP") else []
    else:
        ips = list(sandbox.ips) if sandbox is not None else []
    if not ips and (facts.finished or facts.ending or pods.is_deleting(pod)):
        ips = [item["ip"] for item in previous.get("podIPs") or ()]
    if ips:
        fields["podIP"] = ips[0]
        fields["podIPs"] = [{"ip": ip} for ip in ips]
    return fields


def _reason(previous: dict[str, Any], facts: Facts) -> dict[str, Any]:
    if facts.ending is not None:
        return {"reason": facts.ending.reason, "message": facts.ending.message}
    if previous.get("phase") in pods.TERMINAL_PHASES:
        return {key: previous[key] for key in ("reason", "message") if previous.get(key)}
    return {}


__all__ = ["Ending", "Facts", "Health", "Waiting", "status_of"]
