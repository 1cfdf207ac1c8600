"""Writing down a decision: the Binding that sends a pod to its node, and what users are told when there is none.

A Binding carries the pod's uid, so that a pod that was made anew under the same name is never bound by an old decision.
An API server binds a pod once; whoever comes second gets a Conflict. When no answer came, the binding may or may not
have happened: the pod is read to find out.

Neighbours: `actor` calls it with decisions of `core`.
"""

from typing import Any

from actors.api import meta
from actors.api.client import ApiClient
from actors.api.errors import ApiError
from bus import BusError
from runtime.clock import Clock

POD_SCHEDULED = "PodScheduled"

Object = dict[str, Any]


class BindingRefused(Exception):
    """The pod was not bound, for the reason in the message."""


def binding_of(pod: Object, node: str) -> Object:
    metadata = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


async def bind(api: ApiClient, pod: Object, node: str) -> None:
    """Bind the pod; BindingRefused when it certainly is not bound to that node. May raise BusError: not known."""
    metadata = pod["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    try:
        await api.create("pods", binding_of(pod, node), namespace, subresource="binding", name=name)
    except ApiError as error:
        raise BindingRefused(error.message) from error
    except BusError as error:
        if not await _is_bound(api, pod, node):
            raise BindingRefused(f"no answer, and the pod is not bound: {error}") from error


async def _is_bound(api: ApiClient, pod: Object, node: str) -> bool:
    metadata = pod["metadata"]
    try:
        found = await api.get("pods", metadata["name"], metadata["namespace"])
    except ApiError as error:
        raise BindingRefused(error.message) from error
    return found["metadata"]["uid"] == metadata["uid"] and found["spec"].get("nodeName") == node


def condition_patch(pod: Object, reason: str, message: str, clock: Clock) -> Object | None:
    """Return the patch that says in the pod's status why it is not scheduled; None when it says so already."""
    conditions = (pod.get("status") or {}).get("conditions")
    before = meta.get_condition(conditions, POD_SCHEDULED)
    if before and (before.get("status"), before.get("reason"), before.get("message")) == ("False", reason, message):
        return None
    after = meta.set_condition(conditions, POD_SCHEDULED, "False", reason, message, meta.now_rfc3339(clock))
    return {"status": {"conditions": [meta.get_condition(after, POD_SCHEDULED)]}}
