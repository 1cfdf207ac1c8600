"""Carries out what a reconcile decided: one write after the other, each behind the fence of the election.

What an API server answers is sorted once, here. Conflict, AlreadyExists and NotFound mean that the cache was behind:
normal, and the key waits until its cache has moved. Bus errors pass by themselves. Only a real refusal (Invalid,
Forbidden, a quota) becomes a `Failure` that the next reconcile can show in a status, and an event.

A write whose answer was lost may have happened. Names are made here and not by the API server, so that the cache can
tell; until it does, or a few seconds are over, the key is left alone.

Neighbours: `controller` calls `Executor.run`; `expectations` remembers what the caches owe us.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actors.api.errors import ApiError
from actors.api.meta import key_of
from actors.controller_manager.actions import (
    ERROR_MARK,
    NAME_MARK,
    Action,
    Batch,
    Confirm,
    ConfirmAbsent,
    Create,
    Delete,
    DeleteCollection,
    Emit,
    Failure,
    Object,
    Patch,
    RequeueAfter,
    Update,
    Write,
)
from actors.controller_manager.expectations import EXPECTATION_TIMEOUT_S, UNKNOWN_OUTCOME_TIMEOUT_S, Expectations
from bus import BusError
from runtime import failpoint
from runtime.clock import Clock

NAME_LIMIT_CHARS = 63  # of a generated name, so that it fits a label value and a host name
SUFFIX_CHARS = 5
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # as the API server's own: no vowels, no look-alikes

# Writes of one batch on their way at the same time. More would only queue up in the API server.
CONCURRENT_WRITES = 32

_CACHE_WAS_BEHIND = frozenset({"Conflict", "AlreadyExists", "NotFound"})


class Api(Protocol):
    """The part of `actors.api.client.ApiClient` that actions need."""

    async def get(self, resource: str, name: str, namespace: str | None = None) -> Object: ...

    async def create(self, resource: str, obj: Object, namespace: str | None = None) -> Object: ...

    async def update(self, resource: str, obj: Object, subresource: str | None = None) -> Object: ...

    async def patch(
        self, resource: str, name: str, patch: Any, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object: ...

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_s: int | None = None,
        propagation: Any = None,
    ) -> Object: ...

    async def delete_collection(
        self, resource: str, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> Object: ...


class Recorder(Protocol):
    """The part of `actors.api.events.EventRecorder` that actions need."""

    def event(self, obj: Object, kind: str, reason: str, message: str) -> None: ...


@dataclass(slots=True)
class Outcome:
    """`retry`: reconcile again, with backoff. `failure`: a refusal that a status may tell of."""

    retry: bool = False
    failure: Failure | None = None
    requeue_after_s: float | None = None

    def note(self, failed: "Outcome | None") -> bool:
        """Take in the outcome of one action; return whether it went well."""
        if failed is None:
            return True
        self.retry = self.retry or failed.retry
        self.failure = self.failure or failed.failure
        return False


@dataclass(frozen=True, slots=True)
class Executor:
    """Of one controller.

    fence  raises actors.api.election.NotLeader when a write must not leave
    shown  what this controller's cache of a resource shows under a key; None also where it has no such cache
    """

    api: Api
    recorder: Recorder
    fence: Callable[[], None]
    clock: Clock
    log: Any
    expectations: Expectations
    watched: Collection[str]
    shown: Callable[[str, str], Object | None]
    rng: random.Random

    async def run(self, key: str, actions: Sequence[Action]) -> Outcome:
        """Carry out the actions in order, up to the first that fails. Raises NotLeader."""
        outcome = Outcome()
        for action in actions:
            if isinstance(action, RequeueAfter):
                outcome.requeue_after_s = action.delay_s
            elif not outcome.note(await self._one(key, action)) and not _is_tolerant(action):
                break
        for action in actions:  # a timer is kept even if something before it failed
            if isinstance(action, RequeueAfter):
                outcome.requeue_after_s = action.delay_s
        return outcome

    async def _one(self, key: str, action: Action) -> Outcome | None:
        """Carry out one action; return None when it went well."""
        match action:
            case Emit():
                self._emit(action)
                return None
            case Batch():
                return await self._batch(key, action)
            case Confirm() | ConfirmAbsent():
                return await self._confirm(key, action)
            case DeleteCollection():
                return await self._delete_collection(key, action)
            case Create() | Update() | Patch() | Delete():
                return await self._write(key, action)
        raise AssertionError(f"no such action: {action!r}")

    async def _batch(self, key: str, batch: Batch) -> Outcome | None:
        outcome, failed = Outcome(), False
        waiting = list(batch.writes)
        size = 1 if batch.slow_start else CONCURRENT_WRITES
        while waiting:
            group, waiting = waiting[:size], waiting[size:]
            results = await asyncio.gather(*(self._write(key, write) for write in group))
            went_well = [outcome.note(result) for result in results]
            if not all(went_well):
                failed = True
                if batch.slow_start:
                    break
            size = min(size * 2, CONCURRENT_WRITES)
        return outcome if failed else None

    async def _write(self, key: str, write: Write) -> Outcome | None:
        self.fence()
        if isinstance(write, Create):
            write = Create(write.resource, self._named(write.obj), write.done, write.failed, write.expected)
        name = _key_of_write(write)
        self._expect_before(key, write, name)
        try:
            answer = await self._send(write)
        except ApiError as error:
            self.expectations.cancel(key, write.resource, name)
            return self._refused(key, write, name, error)
        except BusError as error:
            return self._unknown(key, write, name, error)
        self._expect_after(key, write, name, answer)
        if write.done is not None:
            self._emit(write.done, name=name.rpartition("/")[2])
        return None

    async def _send(self, write: Write) -> Object:
        failpoint.passing("controller-manager.write")
        match write:
            case Create():
                return await self.api.create(write.resource, write.obj, write.obj["metadata"].get("namespace"))
            case Update():
                return await self.api.update(write.resource, write.obj, write.subresource)
            case Patch():
                return await self.api.patch(
                    write.resource, write.name, write.patch, write.namespace, subresource=write.subresource
                )
        return await self.api.delete(
            write.resource,
            write.name,
            write.namespace,
            uid=write.uid,
            resource_version=write.resource_version,
            grace_period_s=write.grace_period_s,
            propagation=write.propagation,
        )

    async def _delete_collection(self, key: str, action: DeleteCollection) -> Outcome | None:
        self.fence()
        try:
            await self.api.delete_collection(
                action.resource,
                action.namespace,
                label_selector=action.label_selector,
                field_selector=action.field_selector,
            )
        except ApiError as error:
            if error.reason == "NotFound":
                return None
            self.log.info("could not delete a collection", key=key, resource=action.resource, error=error.message)
            return Outcome(True, Failure("delete", action.resource, error.reason, error.message))
        except BusError as error:
            self.log.info("write will be tried again", key=key, resource=action.resource, error=str(error))
            return Outcome(retry=True)
        return None

    async def _confirm(self, key: str, action: Confirm | ConfirmAbsent) -> Outcome | None:
        found: Object | None = None
        try:
            found = await self.api.get(action.resource, action.name, action.namespace)
        except ApiError as error:
            if error.reason != "NotFound":
                return Outcome(True, Failure("confirm", action.resource, error.reason, error.message))
        except BusError:
            return Outcome(retry=True)
        metadata = found["metadata"] if found is not None else {}
        if isinstance(action, ConfirmAbsent):
            absent = found is None or (action.uid is not None and metadata["uid"] != action.uid)
            return None if absent else Outcome(retry=True)
        lives = found is not None and metadata["uid"] == action.uid and "deletionTimestamp" not in metadata
        return None if lives else Outcome(retry=True)

    def _refused(self, key: str, write: Write, name: str, error: ApiError) -> Outcome | None:
        if isinstance(write, Delete) and error.reason == "NotFound":
            return None
        if _namespace_is_terminating(error):
            return Outcome()  # whatever was wanted there goes with the namespace
        if error.reason in _CACHE_WAS_BEHIND:
            self.log.debug("the cache was behind", key=key, resource=write.resource, name=name, reason=error.reason)
            self._expect_newer(key, write, name, error)
            return Outcome(retry=True)
        verb = type(write).__name__.lower()
        self.log.warning("write refused", key=key, verb=verb, resource=write.resource, error=error.message)
        if write.failed is not None:
            self._emit(write.failed, name=name.rpartition("/")[2], error=error.message)
        return Outcome(True, Failure(verb, write.resource, error.reason, error.message, error.details))

    def _unknown(self, key: str, write: Write, name: str, error: BusError) -> Outcome:
        """No answer. A creation is looked out for; everything else is safe to repeat."""
        self.log.info("write has no answer", key=key, resource=write.resource, name=name, error=str(error))
        self.expectations.cancel(key, write.resource, name)
        if isinstance(write, Create) and write.resource in self.watched and self.shown(write.resource, name) is None:
            self.expectations.expect_creation(key, write.resource, name, self._in(UNKNOWN_OUTCOME_TIMEOUT_S))
        return Outcome(retry=True)

    def _expect_before(self, key: str, write: Write, name: str) -> None:
        """Before the request leaves: its watch event may be here before its answer."""
        if write.resource not in self.watched:
            return
        expires = self._in(EXPECTATION_TIMEOUT_S)
        if isinstance(write, Create):
            if write.expected:
                self.expectations.expect_creation(key, write.resource, name, expires)
        elif isinstance(write, Delete):
            shown = self.shown(write.resource, name)
            if shown is not None and "deletionTimestamp" not in shown["metadata"]:
                self.expectations.expect_deletion(key, write.resource, name, write.uid or "", expires)

    def _expect_after(self, key: str, write: Write, name: str, answer: Object) -> None:
        if isinstance(write, Update | Patch) and write.resource in self.watched and "metadata" in answer:
            shown = self.shown(write.resource, name)
            if shown is not None:
                expires = self._in(EXPECTATION_TIMEOUT_S)
                self.expectations.expect_revision(key, write.resource, name, answer, shown, expires)

    def _expect_newer(self, key: str, write: Write, name: str, error: ApiError) -> None:
        """The API server knows better than our cache: wait a moment for it to catch up."""
        if write.resource not in self.watched:
            return
        shown = self.shown(write.resource, name)
        expires = self._in(UNKNOWN_OUTCOME_TIMEOUT_S)
        if isinstance(write, Create) and error.reason == "AlreadyExists" and shown is None:
            self.expectations.expect_creation(key, write.resource, name, expires)
        elif isinstance(write, Update | Patch) and error.reason == "Conflict" and shown is not None:
            decided_upon = write.obj if isinstance(write, Update) else write.patch
            if decided_upon.get("metadata", {}).get("resourceVersion"):
                self.expectations.expect_change(key, write.resource, name, decided_upon, shown, expires)

    def _named(self, obj: Object) -> Object:
        """Return the object with a name: what `generateName` asks for, made here."""
        metadata = obj["metadata"]
        if metadata.get("name"):
            return obj
        prefix = metadata["generateName"][: NAME_LIMIT_CHARS - SUFFIX_CHARS]
        suffix = "".join(self.rng.choices(_SUFFIX_ALPHABET, k=SUFFIX_CHARS))
        return {**obj, "metadata": {**metadata, "name": prefix + suffix}}

    def _emit(self, emit: Emit, name: str = "", error: str = "") -> None:
        message = emit.message.replace(NAME_MARK, name).replace(ERROR_MARK, error)
        self.recorder.event(emit.about, emit.type, emit.reason, message)

    def _in(self, seconds: float) -> float:
        return self.clock.monotonic() + seconds


def _is_tolerant(action: Action) -> bool:
    return isinstance(action, Batch) and action.tolerant


def _key_of_write(write: Write) -> str:
    if isinstance(write, Create | Update):
        return key_of(write.obj)
    return f"{write.namespace}/{write.name}" if write.namespace else write.name


def _namespace_is_terminating(error: ApiError) -> bool:
    causes = error.details.get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
