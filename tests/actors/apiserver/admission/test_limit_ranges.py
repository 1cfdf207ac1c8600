"""LimitRanger: defaults, bounds and ratios of containers, Pods and claims."""

import pytest

from actors.apiserver.admission.limits import claim_violations, fill_in, pod_violations, together
from tests.actors.apiserver.api_harness import pod, with_account, with_api

NAMESPACE = "/api/v1/namespaces/default"


def limit_range(*limits: dict) -> dict:
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": list(limits)}}


def of_container(**bounds) -> dict:
    return limit_range({"type": "Container", **bounds})


def with_resources(requests: dict | None = None, limits: dict | None = None, *, init: list[dict] | None = None) -> dict:
    made = pod("p")
    resources = {name: part for name, part in (("requests", requests), ("limits", limits)) if part}
    made["spec"]["containers"][0]["resources"] = resources
    if init:
        made["spec"]["initContainers"] = init
    return made


@pytest.mark.parametrize(
    ("limits", "of", "said"),
    [
        (
            {"min": {"cpu": "200m"}},
            with_resources({"cpu": "100m"}),
            "minimum cpu usage per Container is 200m, but request is 100m",
        ),
        ({"min": {"cpu": "1"}}, with_resources(), "minimum cpu usage per Container is 1.  No request is specified"),
        (
            {"min": {"cpu": "1"}},
            with_resources({"cpu": "1"}, {"cpu": "500m"}),
            "minimum cpu usage per Container is 1, but limit is 500m",
        ),
        (
            {"max": {"cpu": "800m"}},
            with_resources({"cpu": "500m"}, {"cpu": "1500m"}),
            "maximum cpu usage per Container is 800m, but limit is 1500m",
        ),
        ({"max": {"cpu": "1"}}, with_resources(), "maximum cpu usage per Container is 1.  No limit is specified"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            with_resources({"cpu": "1"}, {"cpu": "3"}),
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            with_resources(None, {"cpu": "3"}),
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
        ({"min": {"cpu": "100m"}, "max": {"cpu": "1"}}, with_resources({"cpu": "1"}, {"cpu": "1"}), ""),
    ],
)  # fmt: skip
def test_bounds_of_a_container(limits, of, said):
    found = pod_violations(of, of_container(**limits))
    assert found == ([said] if said else [])


def test_bounds_of_a_whole_pod():
    bounds = limit_range({"type": "Pod", "max": {"cpu": "1"}})
    of = with_resources({"cpu": "600m"}, {"cpu": "600m"})
    of["spec"]["containers"].append(of["spec"]["containers"][0] | {"name": "second"})
    assert pod_violations(of, bounds) == ["maximum cpu usage per Pod is 1, but limit is 1200m"]
    of["spec"]["containers"][1] = {"name": "second", "image": "i"}
    assert pod_violations(of, bounds) == ["maximum cpu usage per Pod is 1.  No limit is specified"]


def test_an_init_container_counts_when_it_needs_more():
    bounds = limit_range({"type": "Pod", "max": {"cpu": "1"}})
    init = [{"name": "i", "image": "i", "resources": {"limits": {"cpu": "2"}}}]
    assert pod_violations(with_resources(None, {"cpu": "1"}, init=init), bounds) == [
        "maximum cpu usage per Pod is 1, but limit is 2"
    ]


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("500Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"),
        ("5Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"),
        ("2Gi", ""),
    ],
)
def test_bounds_of_a_claim(storage, said):
    bounds = limit_range({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}})
    claim = {"spec": {"resources": {"requests": {"storage": storage}}}}
    assert claim_violations(claim, bounds) == ([said] if said else [])


def test_defaults_and_what_is_said_of_them():
    of = with_resources({"cpu": "1"})
    fill_in(of, of_container(default={"cpu": "2", "memory": "1Gi"}, defaultRequest={"cpu": "1", "memory": "512Mi"}))
    assert of["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert of["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: memory request for container main; cpu, memory limit for container main"
    )


def test_several_complaints():
    assert together(["a", "b", "a"]) == "[a, b]"
    assert together(["a"]) == "a"


@with_api()
async def test_a_limit_range_of_the_namespace(api):
    """LimitRange: defaults are applied to Pods, and a Pod beyond the bounds is refused."""
    await with_account(api)
    await api.must("POST", f"{NAMESPACE}/limitranges", of_container(max={"cpu": "1"}, default={"cpu": "500m"}))
    await api.server.barrier.fresh()
    made = await api.must("POST", f"{NAMESPACE}/pods", pod("one"))
    assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "500m"}, "limits": {"cpu": "500m"}}
    status, answer = await api.post(f"{NAMESPACE}/pods", with_resources({"cpu": "2"}, {"cpu": "2"}))
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == ('pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2')
