"""What a reconcile may ask for: writes, events and timers, as plain values that a test compares.

A reconcile returns a list of them, in the order in which they shall happen. `execute` carries them out: it stops at the
first that fails, except inside a tolerant `Batch`, and the key is reconciled again. So each prefix of the list must
leave the cluster in a state from which the next reconcile goes on: a crash between two actions is the normal case.

A write that changes an object names the `resourceVersion` or the `uid` that the decision was made upon; the API server
refuses it when the world has moved on.
"""

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

NAME_MARK = "{name}"  # in a message: the name of what was written
ERROR_MARK = "{error}"  # in a message: why the write was refused


@dataclass(frozen=True, slots=True)
class Emit:
    """Record an event about `about`. `NAME_MARK` and `ERROR_MARK` in the message are filled in by the executor."""

    about: Object
    type: str  # Normal | Warning
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Create:
    """POST `obj`. A `generateName` becomes a name before the request leaves, so that a repeat cannot make two."""

    resource: str
    obj: Object
    done: Emit | None = None
    failed: Emit | None = None
    # The key waits until its cache shows the new object. Not wanted where another key's cache would show it.
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Update:
    """PUT `obj` (with its resourceVersion), or its `subresource`."""

    resource: str
    obj: Object
    subresource: str | None = None
    done: Emit | None = None
    failed: Emit | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge-patch one object. Put `resourceVersion` or `uid` into the patch's metadata as the precondition."""

    resource: str
    namespace: str | None
    name: str
    patch: Object
    subresource: str | None = None
    done: Emit | None = None
    failed: Emit | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE one object; that it is gone already counts as done."""

    resource: str
    namespace: str | None
    name: str
    uid: str | None
    resource_version: str | None = None
    grace_period_s: int | None = None
    propagation: str | None = None
    done: Emit | None = None
    failed: Emit | None = None


@dataclass(frozen=True, slots=True)
class DeleteCollection:
    """DELETE every object of a resource in a namespace."""

    resource: str
    namespace: str
    label_selector: str = ""
    field_selector: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Read past the cache: what follows happens only if the object lives with this uid and is not being deleted."""

    resource: str
    namespace: str | None
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ConfirmAbsent:
    """Read past the cache: what follows happens only if there is no such object (or, with a uid, not this one)."""

    resource: str
    namespace: str | None
    name: str
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that do not depend on each other, made concurrently.

    slow_start  in groups of 1, 2, 4 ... ending with the first group in which one failed: a quota that refuses all of
                500 Pods is asked once, not 500 times
    tolerant    what follows the batch happens even if a part of it failed (the key is still reconciled again)
    """

    writes: tuple["Create | Update | Patch | Delete", ...]
    slow_start: bool = False
    tolerant: bool = False


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Reconcile the key again in `delay_s` seconds, whatever else happens."""

    delay_s: float


Write = Create | Update | Patch | Delete
Action = Emit | Write | DeleteCollection | Confirm | ConfirmAbsent | Batch | RequeueAfter


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last attempt at a key failed, given to its next reconcile so that a status can tell of it.

    `verb` is the kind of action: create | update | patch | delete | confirm.
    """

    verb: str
    resource: str
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
