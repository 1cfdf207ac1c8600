"""An object as a webhook or a policy sees it, and what becomes of the object when that was changed.

Mostly they see the object itself. A write to `scale` is seen as a Scale, another version of the same object as that
version. What comes back is decoded like a body, so that nothing gets in that a client could not have sent, and what the
server owns is put back in its place.

Neighbours: `dispatch` and `policies`; `machinery` converts, conforms and prepares.
"""

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.machinery import decode
from actors.apiserver.machinery.prepare import prepare_for_create, prepare_for_status_update, prepare_for_update
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.scale import apply_scale, to_scale
from actors.apiserver.machinery.stored import encode_stored
from actors.apiserver.storage.entry import Entry
from actors.apiserver.webhooks.review import Shown

SCALE = "scale"
STATUS = "status"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """`show` gives the seen form of an object; `take` puts a changed seen form into the object, in place."""

    shown: Shown
    show: Callable[[Object | None], Awaitable[Any]]
    take: Callable[[Object, Object, Object | None], Awaitable[None]]  # (object, changed form, old object)


def view_of(asked: Admission, resource: Resource) -> View:
    """Return the view of a write by a hook whose rules name `resource`: the write's own, or an equivalent."""
    shown = Shown(resource, asked.resource, kind_of(resource, asked), kind_of(asked.resource, asked))
    if asked.subresource == SCALE and asked.resource.subresources[SCALE].kind == "Scale":
        return View(shown, _of(lambda obj: to_scale(asked.resource, obj)), partial(_take_scale, asked))
    if is_body(asked):
        return View(shown, _of(_same), partial(_take_body, asked))
    if resource is asked.resource:
        return View(shown, _of(_same), partial(_take, asked))

    async def show(obj: Object | None) -> Object | None:
        return None if obj is None else await converted(obj, asked.resource, resource)

    async def take(obj: Object, changed: Object, old: Object | None) -> None:
        await _take(asked, obj, await converted(changed, resource, asked.resource), old)

    return View(shown, show, take)


def kind_of(resource: Resource, asked: Admission) -> Object:
    """Return the GroupVersionKind of what a write sends."""
    part = resource.subresources.get(asked.subresource) if asked.subresource else None
    if part is not None:
        return {"group": part.group, "version": part.version, "kind": part.kind}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def is_body(asked: Admission) -> bool:
    """Is what is sent to this subresource another thing than the object (a Binding, exec's options)?"""
    part = asked.resource.subresources.get(asked.subresource) if asked.subresource else None
    return part is not None and part.kind != asked.resource.kind


async def converted(obj: Object, source: Resource, target: Resource) -> Object:
    """Return an object of one version as another, by way of what is stored. Raises ApiError."""
    if source.custom is None or target.custom is None:
        stored = obj if source.conversion is None else source.conversion.to_stored(obj)
        return stored if target.conversion is None else target.conversion.from_stored(stored)
    stored = await source.custom.to_stored(obj)
    entry = await target.custom.view(Entry(b"", encode_stored(stored), 0))
    seen = entry.decode()
    if "resourceVersion" in obj["metadata"]:
        seen["metadata"]["resourceVersion"] = obj["metadata"]["resourceVersion"]
    else:
        del seen["metadata"]["resourceVersion"]
    return seen


def _of(show: Callable[[Object], Object]) -> Callable[[Object | None], Awaitable[Object | None]]:
    async def shown(obj: Object | None) -> Object | None:
        return None if obj is None else show(obj)

    return shown


def _same(obj: Object) -> Object:
    return obj


async def _take(asked: Admission, obj: Object, changed: Object, old: Object | None) -> None:
    resource = asked.resource
    metadata = dict(obj["metadata"])
    changed, _ = decode.conform_object(changed, resource.api_version, resource.kind, decode.IGNORE, [])
    changed.setdefault("metadata", {})
    if old is None:
        prepare_for_create(resource, changed, metadata["uid"], metadata["creationTimestamp"])
    else:
        changed["metadata"].pop("uid", None)
        if asked.subresource == STATUS:
            prepare_for_status_update(resource, changed, old)
        else:
            prepare_for_update(resource, changed, old)
        for name in ("resourceVersion", "uid"):
            if name in metadata:
                changed["metadata"][name] = metadata[name]
    if resource.namespaced:
        changed["metadata"]["namespace"] = asked.namespace
    if old is not None or not changed["metadata"].get("name"):
        changed["metadata"]["name"] = metadata["name"]
    _replace(obj, changed)


async def _take_scale(asked: Admission, obj: Object, changed: Object, old: Object | None) -> None:
    scale, _ = decode.conform_object(changed, "autoscaling/v1", "Scale", decode.IGNORE, [])
    await _take(asked, obj, apply_scale(asked.resource, copy.deepcopy(obj), scale), old)


async def _take_body(asked: Admission, obj: Object, changed: Object, old: Object | None) -> None:
    part = asked.resource.subresources[asked.subresource]
    body, _ = decode.conform_object(changed, part.group_version, part.kind, decode.IGNORE, [])
    _replace(obj, body)


def _replace(obj: Object, changed: Object) -> None:
    obj.clear()
    obj.update(changed)
