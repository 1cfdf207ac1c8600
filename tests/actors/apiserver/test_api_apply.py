"""Apply through the API: creation, options, preconditions, subresources, and writes that change nothing."""

from typing import Any

import orjson

from actors.apiserver.call import AUTHENTICATED, Identity
from tests.actors.apiserver.api_harness import Api, config_map, pod, with_account, with_api
from tests.actors.apiserver.machinery.objects import created

CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
APPLY = "application/apply-patch+yaml"


async def apply(api: Api, path: str, body: Any, query: str = "fieldManager=me", **options: Any) -> tuple[int, Any]:
    return await api.call("PATCH", f"{path}?{query}", body, content_type=APPLY, **options)


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    made = created("Deployment")
    spec = {"selector": made["spec"]["selector"], "template": made["spec"]["template"], **spec}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name}, "spec": spec}


def managers(obj: dict[str, Any]) -> list[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields", ())
    return [(entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries]


@with_api()
async def test_an_apply_to_nothing_creates(api):
    status, made = await apply(api, f"{CMS}/a", config_map("a"))
    assert (status, made["metadata"]["namespace"], managers(made)) == (201, "default", [("me", "Apply", "")])
    status, again = await apply(api, f"{CMS}/a", config_map("a"))
    assert (status, again) == (200, made)
    assert (await api.get(f"{CMS}/a"))[1] == made


@with_api()
async def test_the_name_may_be_left_to_the_path(api):
    body = b"{apiVersion: v1, kind: ConfigMap, data: {a: b}}"
    assert (await apply(api, f"{CMS}/a", body))[1]["metadata"]["name"] == "a"
    assert (await apply(api, f"{CMS}/b", config_map("a")))[0] == 400


@with_api()
async def test_options(api):
    for path, content_type, message in (
        (f"{CMS}/a", APPLY, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for'),
        (f"{CMS}/a?force=true", "application/merge-patch+json", "force: Forbidden: may not be specified for non-apply"),
        (f"{CMS}/a?fieldManager={'m' * 129}", APPLY, "fieldManager: Too long"),
        (f"{CMS}/a?fieldManager=a%0Ab", APPLY, "invalid character U+000A (at position 1)"),
    ):
        status, answer = await api.call("PATCH", path, config_map("a"), content_type=content_type)
        assert (status, answer["reason"]) == (422, "Invalid")
        assert message in answer["message"]
    status, answer = await api.post(f"{CMS}?fieldManager={'m' * 129}", config_map("a"))
    assert status == 422 and "CreateOptions.meta.k8s.io" in answer["message"]


@with_api()
async def test_preconditions(api):
    status, answer = await apply(api, f"{CMS}/a", config_map("a", uid="u-1"))
    assert status == 409 and "uid mismatch: the provided object specified uid u-1" in answer["message"]
    status, answer = await apply(api, f"{CMS}/a", config_map("a", resourceVersion="7"))
    assert status == 400 and "resourceVersion should not be set" in answer["message"]
    _, made = await apply(api, f"{CMS}/a", config_map("a"))
    assert (await apply(api, f"{CMS}/a", config_map("a", uid="u-1")))[0] == 409
    assert (await apply(api, f"{CMS}/a", config_map("a", resourceVersion="1", data={"a": "c"})))[0] == 409
    version = made["metadata"]["resourceVersion"]
    assert (await apply(api, f"{CMS}/a", config_map("a", resourceVersion=version, data={"a": "c"})))[0] == 200


@with_api()
async def test_whoever_may_not_create_may_not_apply_to_nothing(api):
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch", "get"]}
    group = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "r"}}
    await api.must("POST", f"{group}/roles", {"kind": "Role", **head, "rules": [rule]})
    subject = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    await api.must(
        "POST", f"{group}/rolebindings", {"kind": "RoleBinding", **head, "subjects": [subject], "roleRef": role}
    )
    await api.server.barrier.fresh()
    jane = Identity("jane", (AUTHENTICATED,))
    status, answer = await apply(api, f"{CMS}/a", config_map("a"), identity=jane)
    assert status == 403 and 'User "jane" cannot create resource "configmaps"' in answer["message"]
    await api.must("POST", CMS, config_map("a"))
    assert (await apply(api, f"{CMS}/a", config_map("a"), identity=jane))[0] == 200


@with_api()
async def test_a_dry_run_stores_nothing(api):
    status, made = await apply(api, f"{CMS}/a", config_map("a"), "fieldManager=me&dryRun=All")
    assert status == 201 and managers(made) == [("me", "Apply", "")]
    assert (await api.get(f"{CMS}/a"))[0] == 404
    _, before = await apply(api, f"{CMS}/a", config_map("a"))
    _, tried = await apply(api, f"{CMS}/a", config_map("a", data={"k": "other"}), "fieldManager=me&dryRun=All")
    assert tried["data"] == {"k": "other"}
    assert (await api.get(f"{CMS}/a"))[1] == before


@with_api()
async def test_conflicts_and_force(api):
    await apply(api, f"{CMS}/a", config_map("a"))
    other = config_map("a", data={"k": "other"})
    status, answer = await apply(api, f"{CMS}/a", other, "fieldManager=you")
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == 'Apply failed with 1 conflict: conflict with "me": .data.k'
    assert answer["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.k"}
    ]
    status, taken = await apply(api, f"{CMS}/a", other, "fieldManager=you&force=true")
    assert (status, managers(taken)) == (200, [("you", "Apply", "")])


@with_api()
async def test_a_missing_namespace_or_resource(api):
    status, answer = await apply(api, "/api/v1/namespaces/none/configmaps/a", config_map("a"))
    assert (status, answer["message"]) == (404, 'namespaces "none" not found')
    status, answer = await apply(api, f"{DEPLOYMENTS}/none/status", deployment("none"))
    assert (status, answer["details"]["name"]) == (404, "none")


@with_api()
async def test_scale_has_an_entry_of_its_own(api):
    await apply(api, f"{DEPLOYMENTS}/d", deployment("d", replicas=1))
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 3}}
    status, answer = await apply(api, f"{DEPLOYMENTS}/d/scale", scale, "fieldManager=hpa")
    assert (status, answer["reason"]) == (409, "Conflict")
    status, answer = await apply(api, f"{DEPLOYMENTS}/d/scale", scale, "fieldManager=hpa&force=true")
    assert (status, answer["kind"], answer["spec"]) == (200, "Scale", {"replicas": 3})
    found = await api.must("GET", f"{DEPLOYMENTS}/d")
    assert found["spec"]["replicas"] == 3
    assert managers(found) == [("hpa", "Apply", "scale"), ("me", "Apply", "")]
    put = {**scale, "metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 5}}
    await api.must("PUT", f"{DEPLOYMENTS}/d/scale?fieldManager=kubectl", put)
    found = await api.must("GET", f"{DEPLOYMENTS}/d")
    entry = found["metadata"]["managedFields"][-1]
    assert (entry["manager"], entry["subresource"], entry["apiVersion"]) == ("kubectl", "scale", "apps/v1")
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert ("hpa", "Apply", "scale") not in managers(found)


@with_api()
async def test_defaults_belong_to_nobody_after_an_apply(api):
    _, made = await apply(api, f"{DEPLOYMENTS}/d", deployment("d"))
    assert made["spec"]["replicas"] == 1
    assert "f:replicas" not in made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert (await apply(api, f"{DEPLOYMENTS}/d", {**deployment("d", replicas=4)}, "fieldManager=you"))[0] == 200


@with_api()
async def test_admission_owns_nothing(api):
    await with_account(api)
    made = await api.must("POST", f"{PODS}?fieldManager=me", pod("a"))
    spec = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert made["spec"]["serviceAccountName"] == "default"
    assert "f:serviceAccountName" not in spec and "f:containers" in spec
    assert "f:status" not in made["metadata"]["managedFields"][0]["fieldsV1"]


@with_api()
async def test_a_put_of_the_same_is_not_written(api):
    made = await api.must(
        "POST", f"{CMS}?fieldManager=me", config_map("a", labels={"x": "1", "y": "2"}, data={"k": "v", "l": "w"})
    )
    turned = {
        "data": {"l": "w", "k": "v"},
        "metadata": {**made["metadata"], "labels": {"y": "2", "x": "1"}},
        "apiVersion": "v1",
        "kind": "ConfigMap",
    }
    assert (await api.put(f"{CMS}/a?fieldManager=you", turned))[1] == made
    for patch, kind in (({}, "merge"), ({"data": {"k": "v"}}, "strategic"), ([], "json")):
        assert (await api.patch(f"{CMS}/a?fieldManager=you", patch, kind))[1] == made
    without = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}}
    assert (await api.put(f"{CMS}/a", {**without, "data": {"k": "v", "l": "w"}}))[1] == made


@with_api()
async def test_kubectl_moves_to_server_side_apply_by_a_json_patch(api):
    made = await api.must("POST", f"{CMS}?fieldManager=kubectl-client-side-apply", config_map("a"))
    (entry,) = made["metadata"]["managedFields"]
    moved = {**entry, "manager": "kubectl", "operation": "Apply"}
    operations = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [moved]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
    ]
    status, answer = await api.patch(f"{CMS}/a?fieldManager=kubectl-client-side-apply", operations, "json")
    assert (status, managers(answer)) == (200, [("kubectl", "Apply", "")])


@with_api()
async def test_bad_bodies_are_refused_and_nothing_else(api):
    for body in (b"", b"null", b"[]", b"{", b"a: b: c", b"&a [*a]", b"\xff", b"{" * 300, b"kind: ConfigMap"):
        status, answer = await apply(api, f"{CMS}/a", body)
        assert (status, answer["reason"]) == (400, "BadRequest"), body
    text = orjson.dumps({**config_map("a"), "nope": {}})
    status, answer = await apply(api, f"{CMS}/a", text)
    assert status == 400 and ".nope: field not declared in schema" in answer["message"]
