"""autoscaling/v1 and v2 are two views of one object, through every kind of write."""

from tests.actors.apiserver.api_harness import with_api
from tests.actors.apiserver.test_api_apply import apply

V1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
V2 = V1.replace("/v1/", "/v2/")
TARGET = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}


def first(name: str, **spec: object) -> dict:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, **spec}
    return {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": {"name": name}, "spec": spec}


def percent(second: dict) -> int:
    (metric,) = second["spec"]["metrics"]
    return metric["resource"]["target"]["averageUtilization"]


@with_api()
async def test_what_is_written_in_one_is_read_in_the_other(api):
    status, made = await api.post(V1, first("x", targetCPUUtilizationPercentage=50))
    assert (status, made["apiVersion"], made["spec"]["minReplicas"]) == (201, "autoscaling/v1", 1)
    assert percent(await api.must("GET", f"{V2}/x")) == 50
    status, found = await api.patch(f"{V1}/x", {"spec": {"targetCPUUtilizationPercentage": 60}})
    assert (status, found["spec"]["targetCPUUtilizationPercentage"]) == (200, 60)
    assert percent(await api.must("GET", f"{V2}/x")) == 60
    second = await api.must("GET", f"{V2}/x")
    second["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    await api.must("PUT", f"{V2}/x", second)
    found = await api.must("GET", f"{V1}/x")
    assert "autoscaling.alpha.kubernetes.io/behavior" in found["metadata"]["annotations"]
    found["spec"]["maxReplicas"] = 4
    await api.must("PUT", f"{V1}/x", found)
    second = await api.must("GET", f"{V2}/x")
    assert second["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 60
    assert second["spec"]["maxReplicas"] == 4 and "annotations" not in second["metadata"]
    listed = await api.must("GET", V1)
    assert [item["apiVersion"] for item in listed["items"]] == ["autoscaling/v1"]


@with_api()
async def test_status_and_refusals(api):
    assert (await api.post(V1, first("x")))[0] == 201
    status, found = await api.patch(f"{V1}/x/status", {"status": {"currentReplicas": 2, "desiredReplicas": 2}})
    assert (status, found["status"]["currentReplicas"]) == (200, 2)
    assert (await api.must("GET", f"{V2}/x"))["status"]["desiredReplicas"] == 2
    status, answer = await api.post(V1, first("y", minReplicas=5))
    assert status == 422 and "spec.maxReplicas" in answer["message"]


@with_api()
async def test_applied(api):
    wanted = first("x", targetCPUUtilizationPercentage=70)
    status, made = await apply(api, f"{V1}/x", wanted)
    assert (status, made["spec"]["targetCPUUtilizationPercentage"]) == (201, 70)
    assert made["metadata"]["managedFields"][0]["apiVersion"] == "autoscaling/v1"
    wanted["spec"]["maxReplicas"] = 5
    status, made = await apply(api, f"{V1}/x", wanted)
    assert (status, made["spec"]["maxReplicas"]) == (200, 5)
    second = await api.must("GET", f"{V2}/x")
    assert (percent(second), second["spec"]["maxReplicas"]) == (70, 5)
