"""csrcleaner: requests that have come to their end go after an hour, those that nobody judged after a day.

A certificate lives on without its request. Periods are Kubernetes'.
"""

import base64
import binascii
from typing import Any

from cryptography import x509

from actors.api.meta import parse_time
from actors.controller_manager.actions import Action, Delete, Failure, RequeueAfter
from actors.controller_manager.certificates.signers import RESOURCE
from actors.controller_manager.controller import Controller

Object = dict[str, Any]

ENDED_S = 3600.0  # after approval, denial or failure
PENDING_S = 24 * 3600.0
LATE_S = 1.0  # beyond the moment, so that a request is surely due when it is looked at


def due_at(csr: Object) -> float:
    """Return when a request is to go, in seconds since the epoch."""
    status = csr.get("status") or {}
    created = parse_time(csr["metadata"]["creationTimestamp"])
    ends = [
        parse_time(one.get("lastUpdateTime") or one.get("lastTransitionTime") or csr["metadata"]["creationTimestamp"])
        for one in status.get("conditions") or ()
        if one.get("type") in ("Denied", "Failed") or (one.get("type") == "Approved" and status.get("certificate"))
    ]
    due = min(ends) + ENDED_S if ends else created + PENDING_S
    return min(due, _expiry(status.get("certificate") or ""))


def reconcile(csr: Object, now_s: float) -> list[Action]:
    wait_s = due_at(csr) - now_s
    if wait_s > 0:
        return [RequeueAfter(wait_s + LATE_S)]
    metadata = csr["metadata"]
    return [Delete(RESOURCE, None, metadata["name"], metadata["uid"])]


def _expiry(certificate: str) -> float:
    """When an issued certificate ends; never, for none and for what cannot be read."""
    try:
        pem = base64.b64decode(certificate)
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp() if pem else float("inf")
    except (binascii.Error, ValueError):
        return float("inf")


class CleaningController(Controller):
    name = "csrcleaner"
    workers = 1

    def set_up(self) -> None:
        self.requests = self.watch(RESOURCE, lambda key, old, new: (key,))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        csr = self.requests.get(key)
        return [] if csr is None else reconcile(csr, self.clock.wall())
