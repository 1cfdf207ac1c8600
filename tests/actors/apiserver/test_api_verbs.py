"""get, create, update, patch, delete: what is answered, what is stored, what is refused and with which Status."""

import asyncio

from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
NAMESPACES = "/api/v1/namespaces"


def namespace(name: str) -> dict:
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}


@with_api()
async def test_created_object_is_read_back(api):
    status, made = await api.post(CMS, config_map("a"))
    assert status == 201
    assert made["metadata"]["uid"] and made["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert (await api.get(f"{CMS}/a"))[1] == made


@with_api()
async def test_missing_object_is_a_status(api):
    status, answer = await api.get(f"{CMS}/nope")
    assert status == 404
    assert answer["message"] == 'configmaps "nope" not found'
    assert answer["reason"] == "NotFound" and answer["details"] == {"name": "nope", "kind": "configmaps"}


@with_api()
async def test_create_refusals(api):
    await api.must("POST", CMS, config_map("a"))
    for path, body, code, message in (
        (CMS, config_map("a"), 409, 'configmaps "a" already exists'),
        ("/api/v1/namespaces/none/configmaps", config_map("a"), 404, 'namespaces "none" not found'),
        (CMS, config_map("b", namespace="other"), 400, "does not match the namespace"),
        (CMS, config_map("b", resourceVersion="5"), 400, "should not be set"),
        (CMS, config_map("Not_A_Name"), 422, "is invalid"),
        ("/api/v1/configmaps", config_map("b"), 405, "does not allow this method"),
        ("/api/v1/namespaces/default/nothings", config_map("b"), 404, "could not find the requested resource"),
    ):
        status, answer = await api.post(path, body)
        assert (status, message in answer["message"]) == (code, True), answer


@with_api()
async def test_unknown_media_types_are_refused(api):
    assert (await api.post(CMS, b"x", content_type="text/csv"))[0] == 415
    assert (await api.get(CMS, accept="text/csv"))[0] == 406
    assert (await api.post(CMS, b"{", content_type="application/json"))[0] == 400
    assert (await api.post(CMS, b" " * (4 << 20)))[0] == 413


@with_api()
async def test_yaml_is_accepted(api):
    body = b"kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: y\n"
    assert (await api.post(CMS, body, content_type="application/yaml"))[0] == 201


@with_api()
async def test_generated_names_differ(api):
    made = [await api.must("POST", CMS, {**config_map(""), "metadata": {"generateName": "x-"}}) for _ in range(3)]
    names = {one["metadata"]["name"] for one in made}
    assert len(names) == 3 and all(name.startswith("x-") for name in names)


@with_api()
async def test_dry_run_stores_nothing(api):
    assert (await api.post(f"{CMS}?dryRun=All", config_map("a")))[0] == 201
    assert (await api.get(f"{CMS}/a"))[0] == 404
    await api.must("POST", CMS, config_map("a"))
    assert (await api.patch(f"{CMS}/a?dryRun=All", {"data": {"k": "w"}}))[1]["data"] == {"k": "w"}
    assert (await api.delete(f"{CMS}/a?dryRun=All"))[0] == 200
    assert (await api.get(f"{CMS}/a"))[1]["data"] == {"k": "v"}
    for query, kind in (("dryRun=Some", "dryRun"), ("fieldValidation=Some", "fieldValidation")):
        status, answer = await api.post(f"{CMS}?{query}", config_map("b"))
        assert status == 422 and answer["details"]["causes"][0]["field"] == kind
        assert answer["message"].startswith(f'CreateOptions.meta.k8s.io "" is invalid: {kind}: Unsupported value')


@with_api()
async def test_update_guards_the_resource_version(api):
    first = await api.must("POST", CMS, config_map("a"))
    second = await api.must("PUT", f"{CMS}/a", {**first, "data": {"k": "2"}})
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    status, answer = await api.put(f"{CMS}/a", {**first, "data": {"k": "3"}})
    assert status == 409 and answer["reason"] == "Conflict"
    assert "the object has been modified" in answer["message"]
    assert (await api.put(f"{CMS}/a", config_map("a", uid="0000")))[0] == 409
    assert (await api.put(f"{CMS}/a", config_map("b")))[0] == 400
    assert (await api.put(f"{CMS}/zzz", config_map("zzz")))[0] == 404


@with_api()
async def test_update_that_changes_nothing_writes_nothing(api):
    first = await api.must("POST", CMS, config_map("a"))
    before = await api.state.revision()
    assert await api.must("PUT", f"{CMS}/a", first) == first
    assert (await api.patch(f"{CMS}/a", {"data": {"k": "v"}}))[1] == first
    assert await api.state.revision() == before


@with_api()
async def test_patches_of_three_kinds(api):
    await api.must("POST", CMS, config_map("a"))
    merged = await api.patch(f"{CMS}/a", {"data": {"k": None, "n": "1"}})
    assert merged[1]["data"] == {"n": "1"}
    assert (await api.patch(f"{CMS}/a", [{"op": "add", "path": "/data/m", "value": "2"}], "json"))[1]["data"] == {
        "n": "1",
        "m": "2",
    }
    assert (await api.patch(f"{CMS}/a", {"metadata": {"labels": {"x": "y"}}}, "strategic"))[0] == 200
    assert (await api.patch(f"{CMS}/a", {"metadata": {"resourceVersion": "1"}}))[0] == 409
    answer = await api.call("PATCH", f"{CMS}/a", {}, content_type="application/apply-patch+cbor")
    assert answer[0] == 415


@with_api()
async def test_field_validation_warns_or_refuses(api):
    body = {**config_map("a"), "dat": {}}
    answer = await api.raw("POST", f"{CMS}?fieldValidation=Warn", body)
    assert answer.status == 201 and answer.warnings == ['unknown field "dat"']
    status, refused = await api.post(f"{CMS}?fieldValidation=Strict", {**body, "metadata": {"name": "b"}})
    assert status == 400 and "unknown field" in refused["message"]


@with_api()
async def test_delete_with_preconditions(api):
    made = await api.must("POST", CMS, config_map("a"))
    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert (await api.delete(f"{CMS}/a", {**options, "preconditions": {"uid": "other"}}))[0] == 409
    assert (await api.delete(f"{CMS}/a", {**options, "preconditions": {"resourceVersion": "1"}}))[0] == 409
    status, answer = await api.delete(f"{CMS}/a", {**options, "preconditions": {"uid": made["metadata"]["uid"]}})
    assert status == 200 and answer["status"] == "Success" and answer["details"]["name"] == "a"
    assert (await api.delete(f"{CMS}/a"))[0] == 404


@with_api()
async def test_of_two_who_write_the_same_over_the_same_version_one_conflicts(api):
    made = await api.must("POST", CMS, config_map("a"))
    made["data"]["count"] = "2"
    made["metadata"] = (await api.must("GET", f"{CMS}/a"))["metadata"]  # so the cache has it
    api.state.hold = asyncio.Event()  # nobody has heard of the first when the second comes
    assert (await api.put(f"{CMS}/a", made))[0] == 200
    answers = asyncio.ensure_future(api.put(f"{CMS}/a", made))
    await asyncio.sleep(0)
    api.state.hold.set()
    assert (await answers)[0] == 409


@with_api()
async def test_finalizers_hold_an_object_until_the_last_is_gone(api):
    await api.must("POST", CMS, config_map("a", finalizers=["example.org/hold"]))
    _, held = await api.delete(f"{CMS}/a")
    assert held["metadata"]["deletionTimestamp"]
    _, again = await api.delete(f"{CMS}/a")
    assert again["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]
    status, _ = await api.patch(f"{CMS}/a", {"metadata": {"finalizers": ["example.org/hold", "example.org/new"]}})
    assert status == 422
    last = (await api.patch(f"{CMS}/a", {"metadata": {"finalizers": None}}))[1]
    assert "finalizers" not in last["metadata"]  # the writer sees what it wrote, though nobody else ever will
    assert (await api.get(f"{CMS}/a"))[0] == 404


@with_api()
async def test_propagation_policies_become_finalizers(api):
    for policy, finalizers in (("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])):
        await api.must("POST", CMS, config_map(policy.lower()))
        _, left = await api.delete(f"{CMS}/{policy.lower()}?propagationPolicy={policy}")
        assert left["metadata"]["finalizers"] == finalizers
    await api.must("POST", CMS, config_map("background"))
    assert (await api.delete(f"{CMS}/background?propagationPolicy=Background"))[1]["status"] == "Success"
    assert (await api.delete(f"{CMS}/orphan?propagationPolicy=Sideways"))[0] == 422


@with_api()
async def test_pods_are_deleted_gracefully(api):
    await with_account(api)
    await api.must("POST", PODS, pod("bound", "w1"))
    _, going = await api.delete(f"{PODS}/bound")
    assert going["metadata"]["deletionGracePeriodSeconds"] == 30
    assert going["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:50Z"
    _, sooner = await api.delete(f"{PODS}/bound?gracePeriodSeconds=5")
    assert sooner["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:25Z"
    _, later = await api.delete(f"{PODS}/bound?gracePeriodSeconds=60")
    assert later["metadata"]["deletionTimestamp"] == sooner["metadata"]["deletionTimestamp"]
    _, gone = await api.delete(f"{PODS}/bound?gracePeriodSeconds=0")
    assert gone["kind"] == "Pod"
    assert (await api.get(f"{PODS}/bound"))[0] == 404
    await api.must("POST", PODS, pod("loose"))
    await api.must("DELETE", f"{PODS}/loose")
    assert (await api.get(f"{PODS}/loose"))[0] == 404


@with_api()
async def test_no_collection_of_all_namespaces_is_deleted(api):
    await api.must("POST", CMS, config_map("a"))
    status, answer = await api.delete("/api/v1/configmaps")
    assert (status, answer["reason"]) == (405, "MethodNotAllowed")
    await api.must("GET", f"{CMS}/a")


@with_api()
async def test_delete_collection_by_selector(api):
    for name in ("a", "b", "c"):
        await api.must("POST", CMS, config_map(name, labels={"odd": str(name != "b")}))
    answer = await api.must("DELETE", f"{CMS}?labelSelector=odd%3DTrue")
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "c"]
    left = await api.must("GET", CMS)
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


@with_api()
async def test_terminating_namespace_takes_nothing_new_and_goes_when_finalized(api):
    await api.must("POST", NAMESPACES, namespace("n"))
    await api.must("POST", f"{NAMESPACES}/n/configmaps", config_map("a"))
    _, going = await api.delete(f"{NAMESPACES}/n")
    assert going["status"]["phase"] == "Terminating" and going["metadata"]["deletionTimestamp"]
    status, answer = await api.post(f"{NAMESPACES}/n/configmaps", config_map("b"))
    assert status == 403 and answer["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert (await api.get(f"{NAMESPACES}/n"))[0] == 200
    going["spec"]["finalizers"] = []
    assert (await api.put(f"{NAMESPACES}/n/finalize", going))[0] == 200
    assert (await api.get(f"{NAMESPACES}/n"))[0] == 404
    assert (await api.delete(f"{NAMESPACES}/default"))[0] == 403


@with_api()
async def test_status_and_spec_are_written_apart(api):
    await with_account(api)
    made = await api.must("POST", PODS, {**pod("p", "w1"), "status": {"phase": "Running"}})
    assert made["status"]["phase"] == "Pending"
    status = await api.must("PUT", f"{PODS}/p/status", {**made, "status": {"phase": "Running"}})
    assert status["status"]["phase"] == "Running"
    spec = await api.patch(f"{PODS}/p", {"status": {"phase": "Failed"}, "metadata": {"labels": {"a": "b"}}})
    assert spec[1]["status"]["phase"] == "Running" and spec[1]["metadata"]["labels"] == {"a": "b"}
    _, patched = await api.patch(f"{PODS}/p/status", {"status": {"podIP": "10.0.0.1"}}, "strategic")
    assert patched["status"]["podIP"] == "10.0.0.1"


@with_api()
async def test_cluster_scoped_paths_and_unknown_subresources(api):
    assert (await api.get("/api/v1/namespaces/default/nodes"))[0] == 404
    assert (await api.get(f"{CMS}/a/status"))[0] == 404
    assert (await api.get("/api/v2/pods"))[0] == 404
    assert (await api.get("/nothing"))[0] == 404
    assert (await api.call("POST", "/version"))[0] == 405
    assert (await api.call("PUT", CMS, config_map("a")))[0] == 405
