"""csrapproving: a kubelet may have its client certificate, if whoever asks is allowed to say so.

A node that renews its own asks as itself, which the permission `selfnodeclient` allows; one that joins asks with a
bootstrap token, which `nodeclient` does. All other requests wait for a human.
"""

from typing import Any

from actors.api.meta import rfc3339
from actors.controller_manager.actions import Action, Failure, Update
from actors.controller_manager.certificates.signers import (
    RESOURCE,
    common_name,
    has_condition,
    is_kubelet_client,
    request_of,
)
from actors.controller_manager.controller import Controller

Object = dict[str, Any]
REVIEWS = "subjectaccessreviews.authorization.k8s.io"
NODE_CLIENT, SELF_NODE_CLIENT = "nodeclient", "selfnodeclient"
_SAID = {
    SELF_NODE_CLIENT: "Auto approving self kubelet client certificate after SubjectAccessReview.",
    NODE_CLIENT: "Auto approving kubelet client certificate after SubjectAccessReview.",
}


def permissions_asked(csr: Object) -> list[str]:
    """Return the permissions of which one lets a request be approved; [] for one that is not ours to judge."""
    if has_condition(csr, ("Approved", "Denied", "Failed")) or not is_kubelet_client(csr):
        return []
    is_own = common_name(request_of(csr)) == csr["spec"].get("username")
    return [SELF_NODE_CLIENT, NODE_CLIENT] if is_own else [NODE_CLIENT]


def review_of(csr: Object, permission: str) -> Object:
    """May the requester create certificatesigningrequests/PERMISSION?"""
    spec = csr["spec"]
    subject = {
        "user": spec.get("username", ""),
        "uid": spec.get("uid", ""),
        "groups": spec.get("groups") or [],
        "extra": spec.get("extra") or {},
    }
    attributes = {
        "group": "certificates.k8s.io",
        "resource": "certificatesigningrequests",
        "subresource": permission,
        "verb": "create",
        "version": "*",
    }
    return {
        "kind": "SubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {**subject, "resourceAttributes": attributes},
    }


def approve(csr: Object, permission: str, now_s: float) -> list[Action]:
    now = rfc3339(now_s)
    condition = {
        "type": "Approved",
        "status": "True",
        "reason": "AutoApproved",
        "message": _SAID[permission],
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }
    status = csr.get("status") or {}
    approved = {**status, "conditions": [*(status.get("conditions") or ()), condition]}
    return [Update(RESOURCE, {**csr, "status": approved}, subresource="approval")]


class ApprovingController(Controller):
    name = "csrapproving"
    workers = 2

    def set_up(self) -> None:
        self.requests = self.watch(RESOURCE, lambda key, old, new: (key,))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        csr = self.requests.get(key)
        if csr is None:
            return []
        for permission in permissions_asked(csr):
            answer = await self.around.api.create(REVIEWS, review_of(csr, permission))
            if (answer.get("status") or {}).get("allowed"):
                return approve(csr, permission, self.clock.wall())
        return []
