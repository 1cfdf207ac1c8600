"""Discovery: which groups, versions and resources there are, in the old form of one document each and in the
aggregated one (apidiscovery.k8s.io/v2), from which kubectl learns all with two requests.

Everything is computed from a registry; the built-in one unless another is given.
"""

import base64
import hashlib
from typing import Any

from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import Registry, Resource, Subresource

STORAGE_HASH_BYTES = 8  # of a storageVersionHash, as in Kubernetes


def api_versions(server_address: str = "") -> dict[str, Any]:
    """Return the answer of /api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}] if server_address else []
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def api_group_list(registry: Registry = REGISTRY) -> dict[str, Any]:
    """Return the answer of /apis."""
    groups = [_group(group, versions) for group, versions in registry.groups().items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(group: str, registry: Registry = REGISTRY) -> dict[str, Any] | None:
    """Return the answer of /apis/GROUP; None when there is no such group."""
    versions = registry.groups().get(group)
    if not group or not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def _group(group: str, versions: list[str]) -> dict[str, Any]:
    forms = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": forms, "preferredVersion": forms[0]}


def api_resource_list(group: str, version: str, registry: Registry = REGISTRY) -> dict[str, Any] | None:
    """Return the answer of /apis/GROUP/VERSION, or of /api/v1 for the core group; None when there is none."""
    resources = registry.of_group_version(group, version)
    if not resources:
        return None
    rows: list[dict[str, Any]] = []
    for resource in resources:
        rows.append(_api_resource(resource))
        rows += [_api_subresource(resource, part) for part in resource.subresources.values()]
    rows.sort(key=lambda row: row["name"])
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": resources[0].api_version, "resources": rows}


def _api_resource(resource: Resource) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if not resource.is_virtual:
        row["storageVersionHash"] = _storage_version_hash(resource)
    return row


def _storage_version_hash(resource: Resource) -> str:
    """Return what tells one storage version from another: storage migrators, and Kubernetes itself, compare it."""
    group, _, version = resource.stored_api_version.rpartition("/")
    digest = hashlib.sha256(f"{group}/{version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:STORAGE_HASH_BYTES]).decode()


def _api_subresource(resource: Resource, part: Subresource) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": f"{resource.plural}/{part.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": part.kind,
        "verbs": list(part.verbs),
    }
    if part.group_version != resource.api_version:
        row |= {"group": part.group, "version": part.version}
    return row


def aggregated(core_only: bool, registry: Registry = REGISTRY) -> dict[str, Any]:
    """Return the APIGroupDiscoveryList of /api (the core group only) or of /apis (all the others)."""
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [_discovered_version(registry, group, version) for version in versions],
        }
        for group, versions in registry.groups().items()
        if (group == "") == core_only
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered_version(registry: Registry, group: str, version: str) -> dict[str, Any]:
    resources = [_discovered(resource) for resource in registry.of_group_version(group, version)]
    resources.sort(key=lambda row: row["resource"])
    return {"version": version, "resources": resources, "freshness": "Current"}


def _discovered(resource: Resource) -> dict[str, Any]:
    row: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if resource.subresources:
        row["subresources"] = [
            {
                "subresource": part.name,
                "responseKind": {"group": part.group, "version": part.version, "kind": part.kind},
                "verbs": list(part.verbs),
            }
            for part in sorted(resource.subresources.values(), key=lambda part: part.name)
        ]
    return row
