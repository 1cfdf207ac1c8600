"""Calls webhooks: shows each the object, and takes its verdict, and what it changed.

A webhook that cannot be asked counts as what its failurePolicy says: a refusal, or nothing. Validating webhooks are
called all at once, for none sees what another says.

Source: Kubernetes' webhook dispatchers. Neighbours: `admission.dynamic` decides which webhooks a write is for and
`admission.mutation` in which order they change it; `client` carries, `review` writes and reads, `views` shows.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from actors.api import errors
from actors.api.errors import ApiError
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.machinery.decode import IGNORE
from actors.apiserver.machinery.patch import JSON_PATCH, apply_patch_as
from actors.apiserver.parts import Parts
from actors.apiserver.webhooks.addresses import find_address
from actors.apiserver.webhooks.call_failed import CallFailed
from actors.apiserver.webhooks.configuration import Hook, ServiceReference
from actors.apiserver.webhooks.notes import Notes, tell_failed_open
from actors.apiserver.webhooks.review import BadReview, Verdict, refusal, request_of, review, verdict_of
from actors.apiserver.webhooks.rules import Match
from actors.apiserver.webhooks.views import View, view_of

Object = dict[str, Any]


class Unanswered(Exception):
    """A webhook did not say yes or no; the text says why."""


class Client(Protocol):
    """The part of `client.WebhookClient` that is needed here. `call` raises CallFailed."""

    async def call(self, hook: Hook, body: bytes, timeout_s: float) -> bytes: ...

    async def close(self) -> None: ...


class Caller:
    """Calls webhooks over one client, which is made when the first is called."""

    def __init__(self, client: Client | None = None) -> None:
        self._client = client

    async def ask(self, hook: Hook, request: Object, *, mutating: bool) -> Verdict:
        """Return a webhook's verdict. Raises Unanswered."""
        assert self._client is not None, "ready() comes first"
        try:
            body = await self._client.call(hook, review(request), hook.timeout_s)
        except CallFailed as error:
            raise Unanswered(f"failed to call webhook: {error}") from error
        try:
            return verdict_of(body, request["uid"], mutating=mutating)
        except BadReview as error:
            raise Unanswered(f"received invalid webhook response: {error}") from error

    def ready(self, parts: Parts) -> None:
        if self._client is None:
            from actors.apiserver.webhooks.client import WebhookClient  # loads an HTTP client: not before it is needed

            def locate(service: ServiceReference) -> tuple[str, int]:
                return find_address(parts.cache, service, parts.random)

            self._client = WebhookClient(locate)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class BoundHook:
    """A webhook that may be for a kind of write, and as what it sees the object."""

    def __init__(self, caller: Caller, hook: Hook, match: Match) -> None:
        self._caller = caller
        self._hook = hook
        self._match = match
        self.uid = hook.uid
        self.is_reinvoked = hook.is_reinvoked

    async def mutate(self, asked: Admission, obj: Object | None, old: Object | None, at_round: int) -> bool:
        """Let a mutating webhook change the object; return whether it did. Raises ApiError."""
        notes = Notes(asked, self._hook, at_round)
        verdict = await self._verdict(asked, view_of(asked, self._match.resource), obj, old, notes)
        if verdict is None:
            return False
        changed = False
        try:
            changed = bool(verdict.patch) and await self._patch(asked, verdict, obj, old)
        finally:
            notes.tell_mutation(changed)
        if verdict.patch:
            notes.tell_patch(verdict.patch)
        return changed

    async def _patch(self, asked: Admission, verdict: Verdict, obj: Object | None, old: Object | None) -> bool:
        """Do what a webhook wants with the object. Raises ApiError."""
        hook, view = self._hook, view_of(asked, self._match.resource)
        if obj is None:
            why = f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this '
            raise errors.internal(f"{why}operation")
        seen = await view.show(obj)
        try:
            patched, _ = apply_patch_as(
                seen["apiVersion"], seen["kind"], seen, orjson.dumps(verdict.patch), JSON_PATCH, IGNORE
            )
            if patched == seen:
                return False
            await view.take(obj, patched, old)
        except ApiError as error:
            raise errors.internal(error.message) from error
        return True

    async def validate(self, asked: Admission, obj: Object | None, old: Object | None) -> None:
        """Let a validating webhook refuse the write. Raises ApiError."""
        await self._verdict(asked, view_of(asked, self._match.resource), obj, old, None)

    async def _verdict(
        self, asked: Admission, view: View, obj: Object | None, old: Object | None, notes: Notes | None
    ) -> Verdict | None:
        """Return what the webhook says; None when it is not for this write, or fails open. Raises ApiError.

        `notes` are those of a mutating webhook.
        """
        hook = self._hook
        if not hook.selectors.match(asked, obj, old):
            return None
        request = request_of(asked, view.shown, str(uuid.uuid4()), await view.show(obj), await view.show(old))
        if hook.conditions and not self._is_wanted(asked, request):
            return None
        if asked.dry_run and not hook.is_dry_runnable:
            raise errors.bad_request(f'admission webhook "{hook.name}" does not support dry run')
        self._caller.ready(asked.parts)
        try:
            verdict = await self._caller.ask(hook, request, mutating=notes is not None)
        except Unanswered as error:
            said = f'failed calling webhook "{hook.name}": {error}'
            asked.parts.log.warning("webhook not answered", webhook=hook.name, closed=hook.fails_closed, why=str(error))
            if hook.fails_closed:
                raise errors.internal(said) from error
            tell_failed_open(asked, hook, notes)
            return None
        asked.warnings += verdict.warnings
        asked.annotations.update({f"{hook.name}/{key}": text for key, text in verdict.annotations.items()})
        if not verdict.allowed:
            if notes is not None:
                notes.tell_mutation(False)
            raise refusal(hook.name, verdict.status)
        return verdict

    def _is_wanted(self, asked: Admission, request: Object) -> bool:
        from actors.apiserver.webhooks.conditions import ConditionFailed, conditions_hold  # loads CEL
        from actors.apiserver.webhooks.variables import inputs_of

        try:
            return conditions_hold(asked, self._hook.conditions, inputs_of(asked, request))
        except ConditionFailed as error:
            if self._hook.fails_closed:
                raise errors.forbidden(
                    asked.resource.group_resource, asked.name, f"error evaluating match conditions: {error}"
                ) from error
            return False


async def validate_all(hooks: Sequence[BoundHook], asked: Admission, obj: Object | None, old: Object | None) -> None:
    """Ask all validating webhooks at once; raise what the first of them in order has against the write."""
    if len(hooks) == 1:
        await hooks[0].validate(asked, obj, old)
        return
    results = await asyncio.gather(*(hook.validate(asked, obj, old) for hook in hooks), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
