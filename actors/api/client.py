"""The Kubernetes API for components, over the bus.

Objects are plain dicts. A refusal raises `ApiError`; what passes by itself (`Unavailable`, `DeadlineExceeded`,
`Overloaded` of the bus) passes through, and callers requeue. Reads are repeated at another API server; writes are not,
once they were sent: after a lost answer their outcome is unknown, and the caller's next reconcile finds out.

A resource is named `plural[.group][/version]`, as `pods`, `deployments.apps`, `events.events.k8s.io`; the version is v1
unless given.

Neighbours: `client_servers` chooses among API servers, `actors.apiserver.messages` is the wire, `runtime.informer`
takes what `source` makes.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

import orjson

from actors.api.client_servers import Servers, endpoints_for
from actors.api.errors import ApiError
from actors.api.meta import key_of
from actors.apiserver.messages import STATUS, ApiReply, ApiRequest, ApiStreamRequest
from bus import Client, Directory, RemoteError
from runtime.informer import Expired, SourceFailed

REQUEST_TIMEOUT_S = 10.0
LIST_TIMEOUT_S = 60.0
WATCH_OPEN_TIMEOUT_S = 10.0
LIST_PAGE = 10_000  # objects in one answer, so that a page stays well under the bus' largest body

MANAGED_FIELDS = "managedFields"

PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}

Object = dict[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]


def path_of(
    resource: str, namespace: str | None = None, name: str | None = None, subresource: str | None = None
) -> str:
    """Return the URL path of a resource's collection, of one object, or of its subresource."""
    group_resource, _, version = resource.partition("/")
    plural, _, group = group_resource.partition(".")
    parts = ["/apis", group, version or "v1"] if group else ["/api", version or "v1"]
    if namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(plural)
    if name is not None:
        parts.append(quote(name, safe=""))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


class ApiClient:
    """Asks the API servers at `endpoints`, of which any will do."""

    def __init__(self, client: Client, endpoints: Sequence[str]):
        self._servers = Servers(client, endpoints)
        self.answers: Counter[tuple[str, int]] = Counter()  # by method and code

    @classmethod
    def of_node(cls, client: Client, directory: Directory, node: str) -> "ApiClient":
        """Return the API as the actors of a node ask it."""
        return cls(client, endpoints_for(directory, node, client.sender))

    async def get(
        self, resource: str, name: str, namespace: str | None = None, subresource: str | None = None
    ) -> Object:
        return await self.call("GET", path_of(resource, namespace, name, subresource))

    async def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        resource_version: str = "",
        continue_token: str = "",
    ) -> Object:
        """Return the List object (one page of it when `limit` is given)."""
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            resourceVersion=resource_version,
            **{"continue": continue_token},
        )
        return await self.call("GET", path_of(resource, namespace), query, timeout_s=LIST_TIMEOUT_S)

    async def create(
        self,
        resource: str,
        obj: Object,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        name: str | None = None,
    ) -> Object:
        """Create an object, or with `subresource` and `name` post to a subresource (binding, eviction, token)."""
        namespace = namespace if namespace is not None else obj.get("metadata", {}).get("namespace")
        return await self.call("POST", path_of(resource, namespace, name, subresource), body=obj)

    async def update(self, resource: str, obj: Object, subresource: str | None = None) -> Object:
        """Replace an object; the `resourceVersion` in it guards the write."""
        metadata = obj["metadata"]
        path = path_of(resource, metadata.get("namespace"), metadata["name"], subresource)
        return await self.call("PUT", path, body=obj)

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        kind: Literal["json", "merge", "strategic"] = "merge",
    ) -> Object:
        path = path_of(resource, namespace, name, subresource)
        return await self.call("PATCH", path, body=patch, content_type=PATCH_TYPES[kind])

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_s: int | None = None,
        propagation: Propagation | None = None,
    ) -> Object:
        """Delete an object; `uid` and `resource_version` are preconditions."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {field: value for field, value in preconditions.items() if value}
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        if propagation is not None:
            options["propagationPolicy"] = propagation
        return await self.call("DELETE", path_of(resource, namespace, name), body=options)

    async def delete_collection(
        self, resource: str, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> Object:
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        return await self.call("DELETE", path_of(resource, namespace), query, timeout_s=LIST_TIMEOUT_S)

    async def call(
        self,
        verb: str,
        path: str,
        query: str = "",
        *,
        body: Any = None,
        content_type: str = "application/json",
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Any:
        """Send one REST request and return its decoded answer; ApiError when the API says no."""
        encoded = orjson.dumps(body) if body is not None else b""
        request = ApiRequest(verb, path, query, content_type if encoded else "", "application/json", encoded)
        reply: ApiReply = await self._servers.request(request, timeout_s, repeat=verb == "GET")
        self.answers[verb, reply.status] += 1
        answer = orjson.loads(reply.body) if reply.body else {}
        if reply.status >= 300:
            raise ApiError.from_status(answer, reply.status)
        return answer

    async def stream(self, path: str, query: str = "", *, unhurried: bool = False) -> AsyncIterator[bytes]:
        """Yield the chunks of an answer that does not end by itself; ApiError when it is refused or breaks."""
        request = ApiStreamRequest(path, query, unhurried)
        try:
            async with self._servers.stream(request, WATCH_OPEN_TIMEOUT_S) as chunks:
                async for chunk in chunks:
                    yield chunk.data
        except RemoteError as error:
            if error.kind == STATUS:
                raise ApiError.from_status(error.detail) from error
            raise

    def source(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        unhurried: bool = False,
    ) -> "CollectionSource":
        """Return this collection as a source for an Informer; `unhurried` when that may lag by some ms."""
        return CollectionSource(self, resource, namespace, label_selector, field_selector, unhurried)


class CollectionSource:
    """One collection, listed in pages and watched with bookmarks.

    Managed fields are left out: they would take more memory than all else of a Pod, and nobody here reads them. An
    update without them keeps those that are there.
    """

    def __init__(
        self,
        api: ApiClient,
        resource: str,
        namespace: str | None,
        label_selector: str,
        field_selector: str,
        unhurried: bool = False,
    ):
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._unhurried = unhurried

    async def list(self) -> tuple[dict[str, Object], str]:
        objects: dict[str, Object] = {}
        token = ""
        while True:
            page = await self._page(token)
            kind, version = page.get("kind", "").removesuffix("List"), page.get("apiVersion", "")
            for item in page.get("items") or ():
                item.setdefault("kind", kind)
                item.setdefault("apiVersion", version)
                item["metadata"].pop(MANAGED_FIELDS, None)
                objects[key_of(item)] = item
            token = page["metadata"].get("continue", "")
            if not token:
                return objects, page["metadata"]["resourceVersion"]

    async def _page(self, token: str) -> Object:
        try:
            return await self._api.list(
                self._resource,
                self._namespace,
                label_selector=self._selectors["labelSelector"],
                field_selector=self._selectors["fieldSelector"],
                limit=LIST_PAGE,
                continue_token=token,
            )
        except ApiError as error:
            if error.reason in ("Expired", "Gone"):
                raise Expired(error.message) from error
            raise SourceFailed(f"{self._resource}: {error.message}") from error

    async def watch(self, version: str) -> AsyncIterator[tuple[str, Object | None, str]]:
        query = _query(watch="1", resourceVersion=version, allowWatchBookmarks="true", **self._selectors)
        try:
            path = path_of(self._resource, self._namespace)
            async for chunk in self._api.stream(path, query, unhurried=self._unhurried):
                for line in chunk.splitlines():
                    yield self._read(orjson.loads(line))
        except ApiError as error:
            if error.code == 410:
                raise Expired(error.message) from error
            raise SourceFailed(f"{self._resource}: {error.message}") from error

    def _read(self, event: Object) -> tuple[str, Object | None, str]:
        kind, found = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError.from_status(found)
        version = found["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return "", None, version
        found["metadata"].pop(MANAGED_FIELDS, None)
        return key_of(found), None if kind == "DELETED" else found, version


def _query(**fields: str) -> str:
    return urlencode({name: value for name, value in fields.items() if value})
