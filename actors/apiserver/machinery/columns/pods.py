"""Pods: what kubectl shows as READY, STATUS and RESTARTS."""

from typing import Any

from actors.apiserver.machinery.columns.cells import AGE, NAME, NONE, WIDE, computed, read
from actors.apiserver.machinery.durations import since
from actors.apiserver.machinery.resource import Column

_FINISHED = ("Succeeded", "Failed")
_NODE_LOST = "NodeLost"


class _Summary:
    """What a pod's container statuses say together."""

    def __init__(self, pod: dict[str, Any]) -> None:
        self.pod, self.spec, self.status = pod, pod.get("spec") or {}, pod.get("status") or {}
        self.reason: str = self.status.get("reason") or self.status.get("phase", "")
        self.restarts, self.ready = 0, 0
        self.last_restart = ""
        self.sidecars = {
            c.get("name") for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"
        }
        self.total = len(self.spec.get("containers") or ()) + len(self.sidecars)
        if self._condition("PodScheduled").get("reason") == "SchedulingGated":
            self.reason = "SchedulingGated"
        initializing = self._look_at_init_containers()
        if not initializing or self._condition("Initialized").get("status") == "True":
            self._look_at_containers()
        self._look_at_deletion()

    def _condition(self, kind: str) -> dict[str, Any]:
        return next((c for c in self.status.get("conditions") or () if c.get("type") == kind), {})

    def _count_restarts(self, status: dict[str, Any]) -> None:
        self.restarts += status.get("restartCount", 0)
        finished = read(status, "lastState.terminated.finishedAt", "")
        self.last_restart = max(self.last_restart, finished)

    def _look_at_init_containers(self) -> bool:
        """Return True when an init container is not through yet; the reason then says which and why."""
        total = len(self.spec.get("initContainers") or ())
        for i, status in enumerate(self.status.get("initContainerStatuses") or ()):
            self._count_restarts(status)
            state = status.get("state") or {}
            terminated, waiting = state.get("terminated"), state.get("waiting") or {}
            if terminated is not None and terminated.get("exitCode", 0) == 0:
                continue
            if status.get("name") in self.sidecars and status.get("started"):
                self.ready += bool(status.get("ready"))
                continue
            if terminated is not None:
                self.reason = "Init:" + _of_terminated(terminated)
            elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
                self.reason = "Init:" + waiting["reason"]
            else:
                self.reason = f"Init:{i}/{total}"
            return True
        return False

    def _look_at_containers(self) -> None:
        self.restarts, self.last_restart = 0, ""
        for status in self.status.get("initContainerStatuses") or ():
            if status.get("name") in self.sidecars:
                self._count_restarts(status)
        running = False
        for status in reversed(self.status.get("containerStatuses") or ()):
            self._count_restarts(status)
            state = status.get("state") or {}
            waiting, terminated = state.get("waiting") or {}, state.get("terminated")
            if waiting.get("reason"):
                self.reason = waiting["reason"]
            elif terminated is not None:
                self.reason = _of_terminated(terminated)
            elif status.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed" and running:
            self.reason = "Running" if self._condition("Ready").get("status") == "True" else "NotReady"

    def _look_at_deletion(self) -> None:
        if not self.pod["metadata"].get("deletionTimestamp"):
            return
        if self.status.get("reason") == _NODE_LOST:
            self.reason = "Unknown"
        elif self.status.get("phase") not in _FINISHED:
            self.reason = "Terminating"


def _of_terminated(terminated: dict[str, Any]) -> str:
    if terminated.get("reason"):
        return terminated["reason"]
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _ready(pod: dict) -> str:
    summary = _Summary(pod)
    return f"{summary.ready}/{summary.total}"


def _restarts(pod: dict, now: float) -> str:
    summary = _Summary(pod)
    if summary.restarts and summary.last_restart:
        return f"{summary.restarts} ({since(summary.last_restart, now)} ago)"
    return str(summary.restarts)


def pod_status(pod: dict) -> str:
    """Return what `kubectl get pods` shows as STATUS."""
    return _Summary(pod).reason


def _ip(pod: dict) -> str:
    ips = read(pod, "status.podIPs") or [{}]
    return ips[0].get("ip") or read(pod, "status.podIP") or NONE


def _readiness_gates(pod: dict) -> str:
    gates = read(pod, "spec.readinessGates", [])
    if not gates:
        return NONE
    wanted = {gate.get("conditionType") for gate in gates}
    met = sum(c.get("type") in wanted and c.get("status") == "True" for c in read(pod, "status.conditions", []))
    return f"{met}/{len(gates)}"


POD: tuple[Column, ...] = (
    NAME,
    computed("Ready", _ready),
    computed("Status", pod_status),
    Column("Restarts", _restarts),
    AGE,
    computed("IP", _ip, WIDE),
    computed("Node", lambda pod: read(pod, "spec.nodeName") or NONE, WIDE),
    computed("Nominated Node", lambda pod: read(pod, "status.nominatedNodeName") or NONE, WIDE),
    computed("Readiness Gates", _readiness_gates, WIDE),
)
