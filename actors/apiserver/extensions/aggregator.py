"""Whose groups are served by somebody else: finds the server of a request, and tells discovery of them all.

It follows the APIServices in the watch cache. One with a service, for a version that is not served here, makes a
`Remote`; its requests are handed on while it is available. What it serves is learned by asking it now and then, so that
a document of ours never waits for somebody else's server.

Neighbours: `remote` hands on; `availability` asks and writes conditions; `nonresource` and the handler ask here.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.extensions.api_service import api_service_resource, is_available
from actors.apiserver.extensions.remote import FrontProxy, Remote
from actors.apiserver.extensions.resources import priority
from actors.apiserver.machinery.resource import Registry
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import DELETED, CacheEvent
from actors.apiserver.storage.watch_cache import WatchCache

Object = dict[str, Any]


class Known:
    """An APIService with a service, and what its server said of itself when it was last asked."""

    def __init__(self, api_service: Object, remote: Remote) -> None:
        self.api_service = api_service
        self.remote = remote
        self.resources: Object | None = None  # its APIResourceList
        self.check_at = 0.0  # when it is to be asked again, on the monotonic clock

    @property
    def name(self) -> str:
        return self.api_service["metadata"]["name"]


class Aggregator:
    """See the module."""

    def __init__(self, registry: Registry, cache: WatchCache, proxy: FrontProxy | None) -> None:
        self._registry = registry
        self._proxy = proxy
        self._all: dict[str, Object] = {}
        self._known: dict[tuple[str, str], Known] = {}
        cache.observe(api_service_resource(), self._replaced, self._changed)

    def api_services(self) -> dict[str, Object]:
        return dict(self._all)

    def known(self) -> list[Known]:
        return list(self._known.values())

    def remote_of(self, group: str, version: str) -> Remote | None:
        """Return who serves a version of a group; None when we do, or nobody. ApiError when it is not available."""
        known = self._known.get((group, version))
        if known is None or self._is_local(group, version):
            return None
        if not is_available(known.api_service):
            raise errors.unavailable("service unavailable")
        return known.remote

    def with_groups(self, document: Object) -> Object:
        """Return an APIGroupList with the groups of others."""
        groups = {group["name"]: group for group in document["groups"]}
        for known in self._served_elsewhere():
            version = {"groupVersion": f"{known.remote.group}/{known.remote.version}", "version": known.remote.version}
            group = groups.get(known.remote.group)
            if group is None:
                groups[known.remote.group] = {
                    "name": known.remote.group, "versions": [version], "preferredVersion": version,
                }  # fmt: skip
            else:
                groups[known.remote.group] = {**group, "versions": [*group["versions"], version]}
        return {**document, "groups": list(groups.values())}

    def group(self, name: str, own: Object | None) -> Object | None:
        """Return the APIGroup of a name, ours and others' versions together; None when nobody has it."""
        listed = self.with_groups({"groups": [own] if own is not None else []})["groups"]
        found = next((group for group in listed if group["name"] == name), None)
        return None if found is None else {"kind": "APIGroup", "apiVersion": "v1", **found}

    def with_discovery(self, document: Object) -> Object:
        """Return an APIGroupDiscoveryList with the groups of others."""
        items = {item["metadata"].get("name", ""): item for item in document["items"]}
        for known in self._served_elsewhere():
            name = known.remote.group
            item = items.setdefault(name, {"metadata": {"name": name}, "versions": []})
            items[name] = {**item, "versions": [*item["versions"], _discovered(known)]}
        return {**document, "items": list(items.values())}

    def openapi_paths(self) -> dict[str, str]:
        """Return the paths of the OpenAPI documents of others."""
        paths = (f"apis/{known.remote.group}/{known.remote.version}" for known in self._served_elsewhere())
        return {path: f"/openapi/v3/{path}" for path in paths}

    def _served_elsewhere(self) -> list[Known]:
        others = [
            known for known in self._known.values() if not self._is_local(known.remote.group, known.remote.version)
        ]
        return sorted(others, key=lambda known: (known.remote.group, priority(known.remote.version)))

    def _is_local(self, group: str, version: str) -> bool:
        return bool(self._registry.of_group_version(group, version))

    def _replaced(self, entries: list[Entry]) -> None:
        self._all.clear()
        self._known.clear()
        for entry in entries:
            self._take(entry.decode())

    def _changed(self, event: CacheEvent) -> None:
        api_service = event.entry.decode()
        if event.kind != DELETED:
            self._take(api_service)
            return
        self._all.pop(api_service["metadata"]["name"], None)
        self._known.pop(_version_of(api_service), None)

    def _take(self, api_service: Object) -> None:
        self._all[api_service["metadata"]["name"]] = api_service
        key = _version_of(api_service)
        if not api_service["spec"].get("service"):
            self._known.pop(key, None)
            return
        before = self._known.get(key)
        if before is not None and before.api_service["spec"] == api_service["spec"]:
            before.api_service = api_service
        else:
            self._known[key] = Known(api_service, Remote(api_service, self._proxy))


def _version_of(api_service: Object) -> tuple[str, str]:
    return api_service["spec"].get("group", ""), api_service["spec"]["version"]


def _discovered(known: Known) -> Object:
    """A version of an APIGroupDiscovery out of the server's APIResourceList; without it, that it is stale."""
    version = {"version": known.remote.version}
    if known.resources is None or not is_available(known.api_service):
        return {**version, "freshness": "Stale"}
    resources: dict[str, Object] = {}
    for row in known.resources.get("resources") or ():
        name, _, part = row.get("name", "").partition("/")
        kind = {
            "group": row.get("group") or known.remote.group,
            "version": row.get("version") or known.remote.version,
            "kind": row.get("kind", ""),
        }
        if part and name in resources:
            shown = {"subresource": part, "responseKind": kind, "verbs": row.get("verbs") or []}
            resources[name].setdefault("subresources", []).append(shown)
            continue
        made = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if row.get("namespaced") else "Cluster",
            "singularResource": row.get("singularName", ""),
            "verbs": row.get("verbs") or [],
        }
        for theirs in ("shortNames", "categories"):
            if row.get(theirs):
                made[theirs] = row[theirs]
        resources[name] = made
    return {**version, "resources": list(resources.values()), "freshness": "Current"}
