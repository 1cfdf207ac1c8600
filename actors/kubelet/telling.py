"""How the kubelet's parts tell users what happened to a pod, or to one of its containers: by Events.

Neighbours: `node_kubelet` gives it to the parts; `actors.api.events` sends.
"""

from typing import Protocol

from actors.kubelet import pod as pods


class Tell(Protocol):
    def __call__(self, pod: pods.Pod, kind: str, reason: str, message: str, container: str = "") -> None:
        """`kind` is Normal or Warning; `container` is the name of the one that it is about. Returns at once."""


def field_path(pod: pods.Pod, container: str) -> str:
    """Return the place of a container in its pod, as an Event's `involvedObject` has it; empty for the pod itself."""
    lists = {
        "containers": pods.containers(pod),
        "initContainers": pods.init_containers(pod),
        "ephemeralContainers": pods.ephemeral_containers(pod),
    }
    for field, items in lists.items():
        if any(item["name"] == container for item in items):
            return f"spec.{field}{{{container}}}"
    return ""
