"""Short forms for writing rows of the resource table: the subresources that many kinds share, and a row itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.machinery.resource import (
    CREATE_ONLY,
    READ_AND_WRITE,
    STANDARD_VERBS,
    Column,
    Conversion,
    Resource,
    Strategy,
    Subresource,
)
from actors.apiserver.machinery.selectable import FieldReader

SCALE = Subresource("scale", "Scale", "autoscaling/v1", READ_AND_WRITE)
ALL = ("all",)  # the category that `kubectl get all` shows


def status_of(api_version: str, kind: str) -> Subresource:
    return Subresource("status", kind, api_version, READ_AND_WRITE)


def row(
    api_version: str,
    kind: str,
    plural: str,
    *,
    namespaced: bool = True,
    singular: str = "",
    short_names: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    verbs: tuple[str, ...] = STANDARD_VERBS,
    status: bool = False,
    subresources: Iterable[Subresource] = (),
    strategy: Strategy | None = None,
    columns: tuple[Column, ...] = (),
    selectable: Mapping[str, FieldReader] | None = None,
    conversion: Conversion | None = None,
    warning: str = "",
) -> Resource:
    """Return a resource. `status` adds the status subresource; the list kind is always the kind with List."""
    group, _, version = api_version.rpartition("/")
    parts = [*([status_of(api_version, kind)] if status else ()), *subresources]
    settings: dict[str, Any] = {} if strategy is None else {"strategy": strategy}
    return Resource(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=singular or kind.lower(),
        namespaced=namespaced,
        list_kind=f"{kind}List",
        short_names=short_names,
        categories=categories,
        verbs=verbs,
        subresources={part.name: part for part in parts},
        columns=columns,
        selectable_fields=selectable or {},
        conversion=conversion,
        warning=warning,
        **settings,
    )


def review(
    api_version: str, kind: str, plural: str, *, namespaced: bool = False, strategy: Strategy | None = None
) -> Resource:
    """Return a resource that is answered when created and never stored."""
    return row(api_version, kind, plural, namespaced=namespaced, verbs=CREATE_ONLY, strategy=strategy)
