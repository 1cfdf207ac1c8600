"""csrsigning: gives every approved request of Kubernetes' own signers its certificate, or says why it gets none."""

from pathlib import Path
from typing import Any

from actors.api.meta import rfc3339
from actors.controller_manager.actions import Action, Failure, Update
from actors.controller_manager.certificates.issue import Authority
from actors.controller_manager.certificates.signers import (
    RESOURCE,
    SIGNERS,
    Unreadable,
    has_condition,
    why_not_signed,
)
from actors.controller_manager.controller import Controller

Object = dict[str, Any]


def reconcile(csr: Object, authority: Authority, now_s: float) -> list[Action]:
    """Return the write that ends an approved request, one way or the other."""
    status = csr.get("status") or {}
    if csr["spec"].get("signerName") not in SIGNERS or status.get("certificate"):
        return []
    if not has_condition(csr, ("Approved",)) or has_condition(csr, ("Denied", "Failed")):
        return []
    try:
        why = why_not_signed(csr)
    except Unreadable as error:
        why = str(error)
    if why:
        now = rfc3339(now_s)
        failed = {
            "type": "Failed",
            "status": "True",
            "reason": "SignerValidationFailure",
            "message": why,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }
        ended = {**status, "conditions": [*status.get("conditions", ()), failed]}
    else:
        ended = {**status, "certificate": authority.issue(csr, now_s)}
    return [Update(RESOURCE, {**csr, "status": ended}, subresource="status")]


class SigningController(Controller):
    name = "csrsigning"
    workers = 2

    def set_up(self) -> None:
        self.requests = self.watch(RESOURCE, lambda key, old, new: (key,))

    async def begin(self) -> None:
        self._authority = Authority.of_files(Path(self.around.data_dir) / "pki")

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        csr = self.requests.get(key)
        return [] if csr is None else reconcile(csr, self._authority, self.clock.wall())
