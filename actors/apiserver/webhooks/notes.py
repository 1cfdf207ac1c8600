"""What the audit log is told of webhooks besides what they say themselves: who was called when, and what that changed.

Keys end with the round, 0 or 1 (reinvocation), and the webhook's place among all of its sort. Source: Kubernetes'
documentation of webhooks' audit annotations. Neighbours: `dispatch` tells; `audit.event` leaves patches out of events
that are to say nothing of bodies.
"""

from typing import Any

import orjson

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.audit.event import PATCH_NOTE
from actors.apiserver.webhooks.configuration import Hook

_MUTATION = "mutation.webhook.admission.k8s.io"
_FAILED_OPEN = "failed-open.mutating.webhook.admission.k8s.io"
_FAILED_OPEN_VALIDATING = "failed-open.validating.webhook.admission.k8s.io"


class Notes:
    """Of one call of a mutating webhook."""

    def __init__(self, asked: Admission, hook: Hook, at_round: int) -> None:
        self._told = asked.annotations
        self._hook = hook
        self._place = f"round_{at_round}_index_{hook.index}"

    def tell_mutation(self, mutated: bool) -> None:
        """It was called, and answered."""
        self._tell(_MUTATION, {"mutated": mutated})

    def tell_patch(self, patch: list[Any]) -> None:
        self._tell(PATCH_NOTE, {"patch": patch, "patchType": "JSONPatch"})

    def tell_failed_open(self) -> None:
        self._told[f"{_FAILED_OPEN}/{self._place}"] = self._hook.name

    def _tell(self, prefix: str, what: dict[str, Any]) -> None:
        of = {"configuration": self._hook.configuration, "webhook": self._hook.name}
        self._told[f"{prefix}/{self._place}"] = orjson.dumps(of | what).decode()


def tell_failed_open(asked: Admission, hook: Hook, notes: Notes | None) -> None:
    """It could not be asked, and the write goes on. `notes` are those of a mutating webhook."""
    if notes is not None:
        notes.tell_mutation(False)
        notes.tell_failed_open()
    else:
        asked.annotations[f"{_FAILED_OPEN_VALIDATING}/round_0_index_{hook.index}"] = hook.name
