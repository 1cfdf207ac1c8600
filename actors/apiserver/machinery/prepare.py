"""What the server itself puts into an object, or takes over from the stored one, around the kind's own hooks.

Order: create is `decode`, `prepare_for_create`, `validation.validate`; update is `decode`, `prepare_for_update`,
`validation.validate` with the old object. Both run the kind's defaults.
"""

import random
from collections.abc import Callable
from typing import Any

from actors.apiserver.machinery.resource import Resource

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, so that no words appear by chance; as Kubernetes does
_SUFFIX_CHARS = 5
MAX_GENERATED_NAME = 63  # so that the generated name still fits a label value and a DNS label

_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def generate_name(prefix: str, choose: random.Random) -> str:
    """Return the prefix of a generateName with a random suffix."""
    number = choose.getrandbits(64)  # asked once: the system's generator costs a call each time
    suffix = ""
    for _ in range(_SUFFIX_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        suffix += _ALPHABET[digit]
    return prefix[: MAX_GENERATED_NAME - _SUFFIX_CHARS] + suffix


def prepare_for_create(
    resource: Resource, obj: dict[str, Any], uid: str, now: str, after_defaults: Callable[[], None] | None = None
) -> None:
    """Set what the server owns in a new object (`now` is RFC 3339), then run the kind's defaults and hook.

    `after_defaults` sees the object as its creator means it: with defaults, and without what the hook puts in.
    """
    metadata = obj["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"):
        metadata.pop(name, None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = now
    resource.strategy.default(obj)
    if after_defaults is not None:
        after_defaults()
    resource.strategy.prepare_for_create(obj)


def prepare_for_update(resource: Resource, obj: dict[str, Any], old: dict[str, Any]) -> None:
    """Carry over what the server owns, then run the kind's defaults and hook."""
    carry_over(obj, old)
    resource.strategy.default(obj)
    resource.strategy.prepare_for_update(obj, old)


def prepare_for_status_update(resource: Resource, obj: dict[str, Any], old: dict[str, Any]) -> None:
    """The same for a write to the status subresource."""
    carry_over(obj, old)
    resource.strategy.default(obj)
    resource.strategy.prepare_for_status_update(obj, old)


def carry_over(obj: dict[str, Any], old: dict[str, Any]) -> None:
    """Take the server's own metadata from `old`. A uid that the writer gave stays, so that validation can refuse it."""
    metadata, before = obj["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    given_uid = metadata.get("uid")
    for name in _OWNED:
        if name in before:
            metadata[name] = before[name]
        else:
            metadata.pop(name, None)
    if given_uid:
        metadata["uid"] = given_uid
