"""`kubectl get componentstatuses`: what the components were asked for, as objects and as a table."""

from tests.actors.apiserver.api_harness import with_api

PATH = "/api/v1/componentstatuses"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@with_api()
async def test_each_is_an_object(api):
    listed = await api.must("GET", PATH)
    assert listed["kind"] == "ComponentStatusList"
    assert [item["metadata"]["name"] for item in listed["items"]] == ["controller-manager", "etcd-0", "scheduler"]
    one = await api.must("GET", f"{PATH}/scheduler")
    assert one["conditions"] == [{"type": "Healthy", "status": "True", "message": "ok"}]


@with_api()
async def test_one_that_is_not_well(api):
    api.components.found = [("scheduler", "scheduler@m1: no answer")]
    table = await api.must("GET", PATH, accept=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Status", "Message", "Error"]
    assert table["rows"][0]["cells"] == ["scheduler", "Unhealthy", "", "scheduler@m1: no answer"]
    assert (await api.get(f"{PATH}/etcd-0"))[0] == 404


@with_api()
async def test_who_uses_a_deprecated_kind_is_warned(api):
    for path in (PATH, "/api/v1/namespaces/default/endpoints"):
        answer = await api.raw("GET", path)
        assert len(answer.warnings) == 1
        assert " is deprecated in v1." in answer.warnings[0]


@with_api()
async def test_they_cannot_be_written_or_watched(api):
    assert (await api.post(PATH, {"kind": "ComponentStatus"}))[0] == 405
    assert (await api.get(f"{PATH}?watch=true"))[0] == 405
