"""What a resource is: names, scope, verbs, subresources, columns, selectable fields, and a strategy of small hooks.

A resource is data. `registry` holds the table of the built-in ones; a custom resource is one more row. The hooks of a
kind live in `kinds/`, its schema in `schema`. Nothing here does I/O or reads a clock, and a hook never does either.

Neighbours: serving looks a resource up by path, then calls `decode`, the strategy's hooks in the order that `Strategy`
states, `validate`, and `encode_stored`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.api import names
from actors.api.errors import Cause

STANDARD_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE_ONLY = ("create",)
COMPUTED = ("get", "list")  # of what is made when it is asked for
READ_AND_WRITE = ("get", "patch", "update")  # the verbs of status and scale


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with a path of its own, such as pods/status. `group_version` and `kind` are its body's."""

    name: str
    kind: str
    group_version: str
    verbs: tuple[str, ...]

    @property
    def group(self) -> str:
        return self.group_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.group_version.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. `value(obj, now)` gives the cell; `now` is seconds since the epoch, for ages.

    Columns of priority 1 appear with `-o wide` only.
    """

    name: str
    value: Callable[[dict, float], Any]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a resource that shares its storage with another version is stored and read.

    Both functions return a new object. A resource with a conversion cannot hand on stored bytes: decode, `from_stored`,
    encode. events.k8s.io/v1 is stored as core/v1, for example.
    """

    stored_group: str
    stored_version: str
    to_stored: Callable[[dict], dict]
    from_stored: Callable[[dict], dict]


class Scaling(Protocol):
    """The scale subresource of a custom resource."""

    def to_scale(self, obj: dict[str, Any]) -> dict[str, Any]: ...

    def apply_scale(self, obj: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]: ...


class Custom(Protocol):
    """What a custom resource brings along: objects as its version shows them, and how they are stored.

    `cache` is a `storage.ResourceCache`. `to_stored` raises ApiError when the conversion fails.
    """

    @property
    def scale(self) -> Scaling | None: ...

    @property
    def cache(self) -> Any: ...

    @property
    def stored_api_version(self) -> str: ...

    async def view(self, entry: Any) -> Any: ...

    async def to_stored(self, obj: dict[str, Any]) -> dict[str, Any]: ...


class Strategy:
    """The hooks of a kind. Each one may change `obj` and must leave `old` alone; each may be called more than once.

    Create: `default`, `prepare_for_create`, `validate`. Update: `default`, `prepare_for_update`, `validate`,
    `validate_update`. A write to the status subresource: `default`, `prepare_for_status_update`,
    `validate_status_update`. `machinery.validate` runs the validation hooks after metadata's own validation.
    """

    allow_create_on_update = False  # may a PUT create the object?
    allow_unconditional_update = True  # may a PUT leave out metadata.resourceVersion?
    ratchets = False  # does `validate_update` do all that `validate` does, for what has changed?

    def default(self, obj: dict) -> None:
        """Fill in what Kubernetes documents as defaults."""

    def prepare_for_create(self, obj: dict) -> None:
        """Drop what a creator may not set, such as the status; set the generation."""

    def settle(self, obj: dict) -> None:
        """Put into a new object what follows from what admission has made of it. Validation comes next."""

    def validate(self, obj: dict) -> list[Cause]:
        """Return all that is wrong with the object by itself, metadata apart."""
        return []

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        """Take over from `old` what this path may not change; raise the generation when the spec changed."""

    def validate_create(self, obj: dict) -> list[Cause]:
        """Return what a new object may not have, and a later one may."""
        return []

    def validate_update(self, obj: dict, old: dict) -> list[Cause]:
        """Return which changes are not allowed."""
        return []

    def prepare_for_status_update(self, obj: dict, old: dict) -> None:
        """Take over everything but the status from `old`."""

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return []

    def prepare_for_subresource_update(self, subresource: str, obj: dict, old: dict) -> None:
        """Like `prepare_for_update`, for a subresource of the same kind other than status (pods/resize)."""

    def validate_subresource_update(self, subresource: str, obj: dict, old: dict) -> list[Cause]:
        return []

    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        """Return what is wrong with a name, or with a generateName (`prefix`). By default: a DNS-1123 subdomain."""
        return names.dns_subdomain(name, prefix)

    def hold_deletion(self, obj: dict, now: str) -> None:
        """Put finalizers into an object that is being deleted, for what must happen before it may go."""

    def default_grace_period_s(self, obj: dict) -> int | None:
        """Return how long a graceful deletion waits; None when the kind knows no graceful deletion."""
        return None

    def deletes_at_once(self, obj: dict) -> bool:
        """True when this object needs no grace, whatever the caller asks for."""
        return self.default_grace_period_s(obj) is None

    def warnings(self, obj: dict) -> list[str]:
        """Return what the creator of a valid object should be warned of (`Warning` headers)."""
        return []

    def update_warnings(self, obj: dict, old: dict) -> list[str]:
        """Return what the writer of a valid update should be warned of."""
        return self.warnings(obj)


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One row of the table. `verbs` are those of the resource itself; each subresource has its own."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = STANDARD_VERBS
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    strategy: Strategy = field(default_factory=Strategy)
    columns: tuple[Column, ...] = ()
    selectable_fields: Mapping[str, Callable[[dict], str]] = field(default_factory=dict)
    conversion: Conversion | None = None  # how another version's form is stored; None: stored as it is
    custom: Custom | None = None  # of a custom resource
    warning: str = ""  # that every request for it gets, as of a deprecated version
    # What follows from the above, and is asked for at every request.
    api_version: str = field(init=False)
    group_resource: str = field(init=False)  # `pods`, `deployments.apps`
    is_virtual: bool = field(init=False)  # answered and never stored, such as a SelfSubjectAccessReview
    storage_prefix: bytes = field(init=False)  # `b"/registry/apps/deployments/"`: all objects are under it

    def __post_init__(self) -> None:
        group, plural = self.group, self.plural
        stored_group = group if self.conversion is None else self.conversion.stored_group
        prefix = f"/registry/{stored_group}/{plural}/" if stored_group else f"/registry/{plural}/"
        for name, value in (
            ("api_version", f"{group}/{self.version}" if group else self.version),
            ("group_resource", f"{plural}.{group}" if group else plural),
            ("is_virtual", self.verbs in (CREATE_ONLY, COMPUTED)),
            ("storage_prefix", prefix.encode()),
        ):
            object.__setattr__(self, name, value)

    @property
    def stored_api_version(self) -> str:
        """The API version in which objects are written."""
        if self.custom is not None:
            return self.custom.stored_api_version
        if self.conversion is None:
            return self.api_version
        group, version = self.conversion.stored_group, self.conversion.stored_version
        return f"{group}/{version}" if group else version

    def key(self, namespace: str | None, name: str) -> bytes:
        """Return the storage key of an object; `namespace` is ignored for cluster-scoped resources."""
        tail = f"{namespace}/{name}" if self.namespaced else name
        return self.storage_prefix + tail.encode()


class Registry:
    """Resources by group, version and plural, and by kind. Iterates in the order of the table."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        path = (resource.group, resource.version, resource.plural)
        assert path not in self._by_path, f"two resources at {path}"
        self._by_path[path] = resource
        self._by_kind[resource.api_version, resource.kind] = resource

    def remove(self, resource: Resource) -> None:
        del self._by_path[resource.group, resource.version, resource.plural]
        del self._by_kind[resource.api_version, resource.kind]

    def lookup(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def groups(self) -> dict[str, list[str]]:
        """Return the versions of each group, best first, in the order of the table; the core group is ""."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._by_path:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return found

    def of_group_version(self, group: str, version: str) -> list[Resource]:
        return [r for r in self._by_path.values() if r.group == group and r.version == version]

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))

    def __len__(self) -> int:
        return len(self._by_path)
