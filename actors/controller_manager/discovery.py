"""Which resources the API serves right now: what the namespace controller empties and the garbage collector watches.

Asked of /api and /apis, so that custom resources are part of it as soon as they are served. Each group counts in its
preferred version only: the same objects under two versions would be two of everything.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from actors.api.errors import ApiError
from bus import BusError

Object = dict[str, Any]


class Caller(Protocol):
    """The part of `actors.api.client.ApiClient` that discovery needs."""

    async def call(self, verb: str, path: str, query: str = "") -> Any: ...


@dataclass(frozen=True, slots=True)
class ResourceType:
    """`resource` as `ApiClient` takes it: plural[.group][/version]."""

    resource: str
    api_version: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def name(self) -> str:
        """Return `plural.group`, as messages to users say it."""
        return self.resource.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Discovered:
    """`failures`: group versions that could not be read, and why. Their resources are missing from `types`."""

    types: tuple[ResourceType, ...]
    failures: dict[str, str]


async def discover(api: Caller) -> Discovered:
    """Return all resources of all groups. Raises ApiError or BusError when not even the groups can be read."""
    versions, groups = await asyncio.gather(api.call("GET", "/api"), api.call("GET", "/apis"))
    group_versions = [version for version in versions.get("versions") or () if version == "v1"]
    group_versions += [_preferred(group) for group in groups.get("groups") or ()]
    answers = await asyncio.gather(*(_read(api, group_version) for group_version in group_versions))
    types: list[ResourceType] = []
    failures: dict[str, str] = {}
    for group_version, answer in zip(group_versions, answers, strict=True):
        if isinstance(answer, str):
            failures[group_version] = answer
        else:
            types += types_of(group_version, answer)
    return Discovered(tuple(types), failures)


def _preferred(group: Object) -> str:
    preferred = (group.get("preferredVersion") or {}).get("groupVersion")
    return preferred or group["versions"][0]["groupVersion"]


async def _read(api: Caller, group_version: str) -> Object | str:
    """Return an APIResourceList, or why there is none."""
    path = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    try:
        return await api.call("GET", path)
    except ApiError as error:
        return error.message
    except BusError as error:
        return str(error)


def types_of(group_version: str, resource_list: Object) -> list[ResourceType]:
    """Return the resources (not the subresources) of an APIResourceList."""
    group, _, version = group_version.rpartition("/")
    found = []
    for entry in resource_list.get("resources") or ():
        plural = entry["name"]
        if "/" in plural:
            continue
        resource = f"{plural}.{group}" if group else plural
        if version != "v1":
            resource += f"/{version}"
        verbs = frozenset(entry.get("verbs") or ())
        found.append(ResourceType(resource, group_version, entry["kind"], bool(entry["namespaced"]), verbs))
    return found
