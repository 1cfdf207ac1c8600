"""In-place resize: what a running pod was given, against what its spec asks for now.

A change of resources is first allocated (does the node have it? else it is infeasible, or deferred until others leave),
then carried out container by container, in place or by a restart as the container's resizePolicy says. Both are said in
the pod's conditions and in its container statuses, from which a restarted kubelet also learns them again.

Decisions are pure; `Resizing` keeps one pod's state. Source: KEP-1287. Neighbours: `worker` asks and acts, `admission`
knows whether something fits, `status` tells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.api.quantity import bytes_of, cpu_millis
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.observed import PodRuntime, is_running
from actors.kubelet.runtime import ContainerStatus, Resources
from actors.kubelet.status.pod_status import Ending

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
CONDITIONS = (PENDING, IN_PROGRESS)
DEFERRED, INFEASIBLE, ERROR = "Deferred", "Infeasible", "Error"
RETRY_S = 10.0  # until a deferred or failed resize is tried again
WHOLE_POD = ""  # in the place of a container's name: what the pod has as a whole

Allocation = Mapping[str, dict[str, Any]]  # container -> resources
Refusal = Callable[[pods.Pod], Ending | None]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to one running container."""

    container: ContainerStatus
    resources: Resources
    restarts: bool


def resources_of(pod: pods.Pod) -> dict[str, dict[str, Any]]:
    """Return what the spec asks for each container that can be resized, regular ones and sidecars, and for the pod."""
    sidecars = [item for item in pods.init_containers(pod) if pods.is_sidecar(item)]
    found = {item["name"]: item.get("resources") or {} for item in (*pods.containers(pod), *sidecars)}
    whole = pod["spec"].get("resources")
    return found | {WHOLE_POD: whole} if whole else found


def with_resources(pod: pods.Pod, allocation: Allocation) -> pods.Pod:
    """Return a pod whose containers ask for what they were given."""

    def given(container: pods.ContainerDict) -> pods.ContainerDict:
        resources = allocation.get(container["name"])
        return container if resources is None else {**container, "resources": resources}

    lists = {field: [given(item) for item in pod["spec"][field]] for field in ("containers", "initContainers")
             if pod["spec"].get(field)}  # fmt: skip
    whole = {"resources": allocation[WHOLE_POD]} if WHOLE_POD in allocation else {}
    return {**pod, "spec": {**pod["spec"], **lists, **whole}}


def told(pod: pods.Pod, status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the allocation that an earlier kubelet told of; what it did not tell is as the spec says."""
    found = resources_of(pod)
    for field in ("containerStatuses", "initContainerStatuses"):
        for item in status.get(field) or ():
            if item["name"] in found and item.get("resources"):
                found[item["name"]] = item["resources"]
    if WHOLE_POD in found and status.get("resources"):
        found[WHOLE_POD] = status["resources"]
    return found


def needs_restart(container: pods.ContainerDict, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a policy of the container wants a restart for one of the resources that change."""
    policies = {item["resourceName"]: item["restartPolicy"] for item in container.get("resizePolicy") or ()}
    return any(
        policies.get(name) == "RestartContainer" and _amounts(before, name) != _amounts(after, name)
        for name in ("cpu", "memory")
    )


def differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(_amounts(before, name) != _amounts(after, name) for name in ("cpu", "memory"))


def _amounts(resources: Mapping[str, Any], name: str) -> tuple[int, int]:
    amount = cpu_millis if name == "cpu" else bytes_of
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    limit = amount(limits.get(name) or 0)
    return amount(requests.get(name) or 0) or limit, limit


def inherited(own: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container has, with the limits of its pod where it has none of its own."""
    limits = {**(whole.get("limits") or {}), **(own.get("limits") or {})}
    return {**own, "limits": limits} if limits else dict(own)


class Resizing:
    """One pod's allocation, and what its containers have of it."""

    def __init__(self) -> None:
        self._allocated: dict[str, dict[str, Any]] | None = None  # None: nothing was taken in yet
        self._actual: dict[str, dict[str, Any]] = {}  # container id -> resources
        self._whole: dict[
            str, Any
        ] = {}  # what the pod's own cgroup was given, where the pod asks for anything as a whole
        self._whole_of: dict[str, dict[str, Any]] = {}  # container id -> that, as it was when the container was made
        self._pending: tuple[str, str] | None = None  # reason, message
        self._error = ""
        self._in_progress = False

    def take_in(self, pod: pods.Pod, status: Mapping[str, Any]) -> None:
        """The pod is admitted, by this kubelet or an earlier one that told of it in its status."""
        if self._allocated is None:
            self._allocated = told(pod, status)
            self._whole = self._allocated.get(WHOLE_POD, {})

    def note(self, runtime: PodRuntime) -> None:
        """Note containers that are new: they were made with what is allocated now."""
        allocated = self._allocated or {}
        self._actual = {
            item.container.id: self._actual.get(item.container.id, allocated.get(item.container.name, {}))
            for item in runtime.containers
        }
        self._whole_of = {
            item.container.id: self._whole_of.get(item.container.id, self._whole) for item in runtime.containers
        }

    def view(self, pod: pods.Pod) -> pods.Pod:
        """Return the pod with what it was given."""
        if self._allocated is None or self._allocated == resources_of(pod):
            return pod
        return with_resources(pod, self._allocated)

    def allocate(self, pod: pods.Pod, refusal: Refusal) -> None:
        """Give the pod what it asks for, if the node has it."""
        wanted = resources_of(pod)
        if self._allocated is None or wanted == self._allocated:
            self._pending = None
            return
        refused = refusal(pod)
        if refused is None:
            self._allocated, self._pending = wanted, None
        else:
            self._pending = refused.reason, refused.message

    def changes(self, pod: pods.Pod, runtime: PodRuntime) -> list[Change]:
        """Return what is left to do so that running containers have what is allocated."""
        found, allocated = [], self._allocated or {}
        view, whole = self.view(pod), allocated.get(WHOLE_POD, {})
        for name, resources in allocated.items():
            status, container = runtime.newest(name), pods.find_container(view, name)
            if status is None or container is None or not is_running(status):
                continue
            identity = status.container.id
            wanted = inherited(resources, whole)
            actual = inherited(self._actual.get(identity, resources), self._whole_of.get(identity, whole))
            if differs(actual, wanted):
                made = qos.container_resources(view, container, 1)
                found.append(Change(status, made, needs_restart(container, actual, wanted)))
        self._in_progress = bool(found) or self.whole_is_due
        if not self._in_progress:
            self._error = ""
        return found

    @property
    def whole_is_due(self) -> bool:
        """Whether the pod's own cgroup has not yet what is allocated."""
        return differs(self._whole, (self._allocated or {}).get(WHOLE_POD, {}))

    def whole_done(self) -> None:
        """The pod's own cgroup has what is allocated."""
        self._whole = (self._allocated or {}).get(WHOLE_POD, {})

    def done(self, change: Change) -> None:
        """A container has what is allocated."""
        name, identity = change.container.container.name, change.container.container.id
        self._actual[identity] = (self._allocated or {}).get(name, {})
        self._whole_of[identity] = (self._allocated or {}).get(WHOLE_POD, {})

    @property
    def whole(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return what the pod is given as a whole, and what its cgroup has of it."""
        return (self._allocated or {}).get(WHOLE_POD, {}), self._whole

    def failed(self, why: str) -> None:
        self._error = why

    @property
    def waits(self) -> bool:
        """Whether trying again later may bring it further."""
        return bool(self._error) or (self._pending is not None and self._pending[0] == DEFERRED)

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Return (reason, message) of the conditions that hold."""
        found = {}
        if self._pending is not None:
            found[PENDING] = self._pending
        if self._in_progress:
            found[IN_PROGRESS] = (ERROR if self._error else "", self._error)
        return found

    def statuses(self, runtime: PodRuntime) -> dict[str, dict[str, Any]]:
        """Return the fields of container statuses that tell of resources, by container."""
        found: dict[str, dict[str, Any]] = {}
        for name, resources in (self._allocated or {}).items():
            if not resources or name == WHOLE_POD:
                continue
            fields: dict[str, Any] = {}
            requests = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
            if requests:
                fields["allocatedResources"] = requests
            newest = runtime.newest(name)
            actual = self._actual.get(newest.container.id) if newest is not None else None
            fields["resources"] = _plain(resources if actual is None else actual)
            found[name] = fields
        return found


def of_pod(resizing: Resizing) -> dict[str, Any]:
    """Return the fields of a pod's status that tell of its resources as a whole."""
    whole, actual = resizing.whole
    if not whole:
        return {}
    requests = {**(whole.get("limits") or {}), **(whole.get("requests") or {})}
    return {"allocatedResources": requests, "resources": _plain(actual)}


def _plain(resources: Mapping[str, Any]) -> dict[str, Any]:
    return {field: resources[field] for field in ("limits", "requests") if resources.get(field)}


def feasibility(pod: pods.Pod, alone: Ending | None, beside_others: Ending | None) -> Ending | None:
    """Return why a resize has to wait, or can never be: `alone` is what an empty node would say."""
    if alone is not None:
        text = alone.message.replace(
            "Pod was rejected: Node didn't have enough resource", "Node didn't have enough capacity"
        )
        return Ending(INFEASIBLE, text.replace(", used: 0", ""))
    if beside_others is not None:
        return Ending(DEFERRED, beside_others.message.removeprefix("Pod was rejected: "))
    return None
