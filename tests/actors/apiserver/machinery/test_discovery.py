"""Discovery and OpenAPI: what clients learn of the server before they ask it anything."""

import orjson
import pytest

from actors.apiserver.machinery import discovery, openapi
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import Registry
from actors.apiserver.machinery.version import version_info


def test_every_resource_is_in_both_forms():
    listed = {
        (group, version, item["name"])
        for group, versions in REGISTRY.groups().items()
        for version in versions
        for item in discovery.api_resource_list(group, version)["resources"]
    }
    aggregated = set()
    for core_only in (True, False):
        for group in discovery.aggregated(core_only)["items"]:
            for version in group["versions"]:
                for item in version["resources"]:
                    at = (group["metadata"].get("name", ""), version["version"])
                    aggregated.add((*at, item["resource"]))
                    aggregated |= {
                        (*at, f"{item['resource']}/{s['subresource']}") for s in item.get("subresources", ())
                    }
    assert listed == aggregated
    assert {("", "v1", "pods"), ("", "v1", "pods/log"), ("apps", "v1", "deployments/scale")} <= listed


def test_a_row():
    rows = discovery.api_resource_list("apps", "v1")["resources"]
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert next(item for item in rows if item["name"] == "deployments") == {
        "name": "deployments", "singularName": "deployment", "namespaced": True, "kind": "Deployment",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["deploy"], "categories": ["all"], "storageVersionHash": "8aSe+NMegvE=",
    }  # fmt: skip
    scale = next(item for item in rows if item["name"] == "deployments/scale")
    assert (scale["kind"], scale["group"], scale["version"]) == ("Scale", "autoscaling", "v1")
    assert "storageVersionHash" not in scale


def test_storage_versions_are_told_apart():
    def hash_of(group: str, version: str, name: str) -> str | None:
        rows = discovery.api_resource_list(group, version)["resources"]
        return next(row for row in rows if row["name"] == name).get("storageVersionHash")

    assert hash_of("", "v1", "pods") == "xPOwRZ+Yhw8="  # as everywhere in Kubernetes
    assert hash_of("autoscaling", "v1", "horizontalpodautoscalers") == "qwQve8ut294="  # stored as v2
    assert hash_of("events.k8s.io", "v1", "events") == hash_of("", "v1", "events") == "r2yiGXH7wu8="
    assert hash_of("authorization.k8s.io", "v1", "subjectaccessreviews") is None


def test_groups():
    names = [group["name"] for group in discovery.api_group_list()["groups"]]
    assert "apps" in names and "" not in names
    assert discovery.api_group("apps")["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert discovery.api_group("nope") is None
    assert discovery.api_resource_list("nope", "v1") is None
    assert discovery.api_versions("127.0.0.1:6443")["versions"] == ["v1"]


def test_short_names_are_unique_within_a_group_version():
    seen: set[tuple[str, str]] = set()
    for resource in REGISTRY:
        for name in (resource.plural, resource.singular, *resource.short_names):
            if (resource.api_version, name) in seen:
                assert name == resource.plural, f"{name} is taken"
            seen.add((resource.api_version, name))


def test_version():
    info = version_info()
    assert (info["major"], info["minor"], info["gitVersion"]) == ("1", "36", "v1.36.0")
    assert len(info["gitCommit"]) == 40


class TestRegistry:
    def test_look_ups(self):
        assert REGISTRY.lookup("apps", "v1", "deployments").kind == "Deployment"
        assert REGISTRY.by_kind("v1", "Pod").plural == "pods"
        assert REGISTRY.lookup("apps", "v1", "nope") is None

    def test_keys(self):
        assert REGISTRY.by_kind("v1", "Pod").key("default", "web") == b"/registry/pods/default/web"
        assert REGISTRY.by_kind("v1", "Node").key(None, "n") == b"/registry/nodes/n"
        deployment = REGISTRY.by_kind("apps/v1", "Deployment")
        assert deployment.key("default", "web") == b"/registry/apps/deployments/default/web"
        assert deployment.group_resource == "deployments.apps"
        assert REGISTRY.by_kind("events.k8s.io/v1", "Event").storage_prefix == b"/registry/events/"

    def test_adding_and_removing(self):
        registry = Registry([])
        pod = REGISTRY.by_kind("v1", "Pod")
        registry.add(pod)
        assert list(registry) == [pod]
        registry.remove(pod)
        assert len(registry) == 0


@pytest.fixture(scope="module")
def documents() -> dict[str, dict]:
    return {path: orjson.loads(openapi.openapi_v3(path)) for path in openapi.document_paths()}


def strings(value, key):
    """Yield every value under a key, at any depth."""
    if isinstance(value, dict):
        if key in value and isinstance(value[key], str):
            yield value[key]
        for part in value.values():
            yield from strings(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part, key)


class TestOpenApi:
    def test_the_index_names_every_document(self, documents):
        index = orjson.loads(openapi.openapi_v3_index())
        assert index["paths"].keys() == documents.keys()
        url = index["paths"]["api/v1"]["serverRelativeURL"]
        assert url.startswith("/openapi/v3/api/v1?hash=")
        assert url.endswith(openapi.document_hash("", "v1"))

    def test_documents_are_kept(self):
        assert openapi.openapi_v3("api/v1") == openapi.openapi_v3("api/v1")
        assert openapi.openapi_v3("apis/nope/v1") is None

    def test_references_resolve(self, documents):
        for path, document in documents.items():
            schemas = document["components"]["schemas"]
            for reference in strings(document, "$ref"):
                assert reference.removeprefix("#/components/schemas/") in schemas, (path, reference)

    def test_types_are_plain(self, documents):
        def check(schema):
            assert not isinstance(schema.get("type"), list)
            for part in (*schema.get("properties", {}).values(), *schema.get("oneOf", ()), *schema.get("allOf", ())):
                check(part)
            for key in ("items", "additionalProperties"):
                if key in schema:
                    check(schema[key])

        for document in documents.values():
            for schema in document["components"]["schemas"].values():
                check(schema)

    def test_what_kubectl_looks_for(self, documents):
        document = documents["apis/apps/v1"]
        gvk = {"group": "apps", "version": "v1", "kind": "Deployment"}
        patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
        assert patch["x-kubernetes-group-version-kind"] == gvk
        assert {"fieldValidation", "dryRun", "fieldManager"} <= {p["name"] for p in patch["parameters"]}
        schemas = document["components"]["schemas"]
        assert gvk in schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"]
        containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
        assert (containers["type"], containers["x-kubernetes-patch-merge-key"]) == ("array", "name")

    def test_version_two(self):
        document = orjson.loads(openapi.openapi_v2())
        assert document["swagger"] == "2.0"
        assert "io.k8s.api.core.v1.Pod" in document["definitions"]
        assert "#/components/" not in openapi.openapi_v2().decode()
        patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
        assert "application/strategic-merge-patch+json" in patch["consumes"]
        body = next(parameter for parameter in patch["parameters"] if parameter["in"] == "body")
        assert body["schema"] == {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}
        assert patch["responses"]["200"]["schema"] == {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment"}
        for reference in strings(document["paths"], "$ref"):
            assert reference.removeprefix("#/definitions/") in document["definitions"], reference

    def test_operations_have_names_of_their_own(self, documents):
        seen: set[str] = set()
        for document in documents.values():
            for item in document["paths"].values():
                ids = {part["operationId"] for method, part in item.items() if method != "parameters"}
                assert not ids & seen
                seen |= ids
        assert {
            "readAppsV1NamespacedDeploymentScale", "listCoreV1PodForAllNamespaces", "deleteCoreV1CollectionNode",
            "createCoreV1NamespacedPodBinding", "listRbacAuthorizationV1NamespacedRole", "replaceCoreV1NodeStatus",
            "createAuthorizationV1SubjectAccessReview", "patchFlowcontrolApiserverV1FlowSchema",
        } <= seen  # fmt: skip
        tags = documents["apis/rbac.authorization.k8s.io/v1"]["paths"]["/apis/rbac.authorization.k8s.io/v1/roles"][
            "get"
        ]
        assert tags["tags"] == ["rbacAuthorization_v1"]
