"""Policies and webhooks, which a cluster's users make: what of them is for a write, and in which order.

Mutating policies come before mutating webhooks, validating policies before validating webhooks. All are compiled from
the watch cache when one of their configurations has changed, and sorted out by resource and operation when such a write
comes first; a write that none is for pays for a comparison of revisions and a look into a dict.

Neighbours: `chain` asks; `policies` and `webhooks` do the work.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from actors.apiserver.admission.attributes import Admission

Object = dict[str, Any]
FillIn = Callable[[Admission, Object], Awaitable[None]]


class Hooks:
    def mutates(self, asked: Admission) -> bool:
        return False

    def validates(self, asked: Admission) -> bool:
        return False

    async def mutate(self, asked: Admission, obj: Object | None, old: Object | None, fill_in: FillIn | None) -> None:
        return

    async def validate(self, asked: Admission, obj: Object | None, old: Object | None) -> None:
        return
