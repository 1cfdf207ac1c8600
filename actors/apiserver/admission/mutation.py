"""The order in which policies and webhooks change an object, and who looks at it once more.

Each is called in its turn. When one changed the object, the built-in steps look again, and so do those before it that
asked for it (reinvocationPolicy IfNeeded), once: never a third time, and nobody for the first time in the second round.

Source: Kubernetes' reinvocation of admission plugins and webhooks. Neighbours: `dynamic`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import orjson

from actors.apiserver.admission.attributes import Admission

Object = dict[str, Any]
FillIn = Callable[[Admission, Object], Awaitable[None]]


class Mutator(Protocol):
    """A policy or a webhook, as far as it is for a kind of write."""

    @property
    def uid(self) -> str: ...

    @property
    def is_reinvoked(self) -> bool: ...

    async def mutate(self, asked: Admission, obj: Object | None, old: Object | None, at_round: int) -> bool:
        """Change the object; return whether it did. Rounds are 0 and 1. Raises ApiError."""


async def mutate(
    mutators: Sequence[Mutator], asked: Admission, obj: Object | None, old: Object | None, fill_in: FillIn | None
) -> None:
    """Let all mutators change the object. Raises ApiError."""
    called: set[str] = set()
    again: set[str] = set()
    changed = False
    for mutator in mutators:
        if await mutator.mutate(asked, obj, old, 0):
            again |= called
            called = set()
            changed = True
        if mutator.is_reinvoked:
            called.add(mutator.uid)
    if not changed or obj is None:
        return
    if fill_in is not None:
        before = orjson.dumps(obj)
        await fill_in(asked, obj)
        if orjson.dumps(obj) != before:
            again |= called
    for mutator in mutators:
        if mutator.uid in again:
            await mutator.mutate(asked, obj, old, 1)
