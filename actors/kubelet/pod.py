"""Reading a Pod: the questions that every part of the kubelet asks of the API object, with the API's defaults.

Pods are plain dicts as the API server sends them, shared with the informer's cache: nothing here changes one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

Pod = dict[str, Any]
ContainerDict = dict[str, Any]

CONFIG_SOURCE = "kubernetes.io/config.source"  # of a pod that did not come from the API: "file"
CONFIG_HASH = "kubernetes.io/config.hash"
CONFIG_MIRROR = "kubernetes.io/config.mirror"  # on the Pod that shows a static pod in the API: the hash
FILE = "file"
TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
DEFAULT_GRACE_PERIOD_S = 30
LONGEST_GRACE_S = 3e8  # ten years. The API takes any int64; runtimes count nanoseconds, and fail beyond 292 years


def uid(pod: Pod) -> str:
    """Return the uid that the runtime's labels carry: a static pod's is the hash that its mirror pod names."""
    own = annotations(pod)
    if own.get(CONFIG_SOURCE) == FILE and CONFIG_HASH in own:
        return own[CONFIG_HASH]
    return str(pod["metadata"]["uid"])


def name(pod: Pod) -> str:
    return str(pod["metadata"]["name"])


def namespace(pod: Pod) -> str:
    return str(pod["metadata"]["namespace"])


def key(pod: Pod) -> str:
    return f"{namespace(pod)}/{name(pod)}"


def containers(pod: Pod) -> list[ContainerDict]:
    return pod["spec"].get("containers") or []


def init_containers(pod: Pod) -> list[ContainerDict]:
    return pod["spec"].get("initContainers") or []


def ephemeral_containers(pod: Pod) -> list[ContainerDict]:
    return pod["spec"].get("ephemeralContainers") or []


def all_containers(pod: Pod) -> Iterator[ContainerDict]:
    yield from init_containers(pod)
    yield from containers(pod)
    yield from ephemeral_containers(pod)


def find_container(pod: Pod, wanted: str) -> ContainerDict | None:
    return next((container for container in all_containers(pod) if container["name"] == wanted), None)


def post_start(pod: Pod, container_name: str) -> dict[str, Any] | None:
    """Return a container's postStart hook."""
    container = find_container(pod, container_name) or {}
    return (container.get("lifecycle") or {}).get("postStart")


def is_sidecar(container: ContainerDict) -> bool:
    """Tell whether an init container is a restartable one (KEP-753)."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Pod) -> str:
    return str(pod["spec"].get("restartPolicy") or "Always")


def is_deleting(pod: Pod) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_static(pod: Pod) -> bool:
    """Whether a pod comes from a file on its node."""
    return annotations(pod).get(CONFIG_SOURCE) == FILE


def phase(pod: Pod) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_terminal(pod: Pod) -> bool:
    """Tell whether the API already says that the pod has ended: it is never started again."""
    return phase(pod) in TERMINAL_PHASES


def grace_period_s(pod: Pod) -> float:
    """Return how long containers have between SIGTERM and SIGKILL: by the deletion, else by the spec, within reason."""
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    if grace is None:
        grace = pod["spec"].get("terminationGracePeriodSeconds")
    return min(LONGEST_GRACE_S, float(DEFAULT_GRACE_PERIOD_S if grace is None else grace))


def is_host_network(pod: Pod) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def addresses(pod: Pod, of_sandbox: Sequence[str], of_node: Sequence[str]) -> tuple[str, ...]:
    """Return where a pod is reached on its node: at its sandbox's addresses, or as its node, if it shares its network.
    The API knows them later."""
    return tuple(of_sandbox) or (tuple(of_node) if is_host_network(pod) else ())


def annotations(pod: Pod) -> dict[str, str]:
    return pod["metadata"].get("annotations") or {}


def container_hash(container: ContainerDict) -> str:
    """Return a digest of what makes a running container outdated when it changes: its name and image."""
    return hashlib.sha256(f"{container['name']}\0{container.get('image', '')}".encode()).hexdigest()[:16]


def recorded_status(pod: Pod, container_name: str) -> dict[str, Any] | None:
    """Return the container's status as the API last had it, whichever list it is in."""
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for item in status.get(field) or ():
            if item["name"] == container_name:
                return item
    return None
