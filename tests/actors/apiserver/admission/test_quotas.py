"""ResourceQuota: what is used is charged in the transaction that uses it."""

import asyncio

import pytest

from actors.apiserver.admission.quota_rules import Exceeded, charge, concerns
from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

NAMESPACE = "/api/v1/namespaces/default"
PODS, QUOTAS, SERVICES = f"{NAMESPACE}/pods", f"{NAMESPACE}/resourcequotas", f"{NAMESPACE}/services"


def quota(hard: dict, name: str = "q", **spec) -> dict:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard, **spec}}


def with_used(hard: dict, used: dict) -> dict:
    return quota(hard) | {"status": {"hard": hard, "used": used}}


def with_cpu(name: str, cpu: str) -> dict:
    made = pod(name)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}
    return made


async def limit(api, hard: dict, name: str = "q", **spec) -> None:
    await with_account(api)
    await api.must("POST", QUOTAS, quota(hard, name, **spec))
    await api.server.barrier.fresh()


async def used(api, name: str = "q") -> dict:
    await api.server.barrier.fresh()
    return (await api.must("GET", f"{QUOTAS}/{name}"))["status"]["used"]


@pytest.mark.parametrize(
    ("write", "concerned"),
    [
        (("pods", "", "CREATE"), True),
        (("pods", "", "UPDATE"), False),
        (("pods", "resize", "UPDATE"), True),
        (("pods", "status", "UPDATE"), False),
        (("pods", "binding", "CREATE"), False),
        (("services", "", "UPDATE"), True),
        (("persistentvolumeclaims", "", "UPDATE"), True),
        (("configmaps", "", "CREATE"), True),
        (("configmaps", "", "UPDATE"), False),
        (("events", "", "CREATE"), False),
        (("configmaps", "", "DELETE"), False),
    ],
)
def test_which_writes_concern_quotas(write, concerned):
    assert concerns(*write) is concerned


def test_a_charge():
    of = with_used({"pods": "2", "requests.cpu": "3"}, {"pods": "1", "requests.cpu": "1"})
    after = charge(of, ["pods", "requests.cpu"], "pods", with_cpu("p", "1500m"), None, 0)
    assert after == {"pods": "2", "requests.cpu": "2500m"}


def test_what_is_exceeded_is_said():
    of = with_used({"pods": "1", "requests.cpu": "1", "limits.cpu": "9"}, dict.fromkeys(("pods",), "1")
                   | {"requests.cpu": "500m", "limits.cpu": "1"})  # fmt: skip
    with pytest.raises(Exceeded) as exceeded:
        charge(of, ["pods", "requests.cpu", "limits.cpu"], "pods", with_cpu("p", "1"), None, 0)
    assert str(exceeded.value) == (
        "exceeded quota: q, requested: pods=1,requests.cpu=1, used: pods=1,requests.cpu=500m, limited: "
        "pods=1,requests.cpu=1"
    )


def test_an_update_is_charged_with_the_difference():
    of = with_used({"services.nodeports": "2", "services": "1"}, {"services.nodeports": "1", "services": "1"})
    names = ["services.nodeports", "services"]
    old = {"metadata": {}, "spec": {"type": "NodePort", "ports": [{}]}}
    two = {"metadata": {}, "spec": {"type": "NodePort", "ports": [{}, {}]}}
    assert charge(of, names, "services", two, old, 0) == {"services.nodeports": "2", "services": "1"}
    assert charge(of, names, "services", old, two, 0) is None
    three = {"metadata": {}, "spec": {"type": "NodePort", "ports": [{}, {}, {}]}}
    with pytest.raises(Exceeded, match=r"requested: services\.nodeports=2, used: services\.nodeports=1"):
        charge(of, names, "services", three, old, 0)


@with_api()
async def test_the_life_of_a_quota(api):
    """ResourceQuota: the life of a pod; one too many is refused in Kubernetes' words."""
    await limit(api, {"pods": "1"})
    await api.must("POST", PODS, pod("one"))
    assert await used(api) == {"pods": "1"}
    status, answer = await api.post(PODS, pod("two"))
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        'pods "two" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )
    status, _ = await api.post(PODS, pod("one"))
    assert status == 403


@with_api()
async def test_what_is_there_already_counts(api):
    """A quota that nobody has counted yet is counted when it is first needed."""
    await with_account(api)
    await api.must("POST", PODS, with_cpu("before", "1"))
    await api.must("POST", QUOTAS, quota({"requests.cpu": "2", "configmaps": "5"}))
    await api.server.barrier.fresh()
    await api.must("POST", PODS, with_cpu("one", "1"))
    assert await used(api) == {"requests.cpu": "2", "configmaps": "0"}
    assert (await api.post(PODS, with_cpu("two", "1m")))[0] == 403


@with_api()
async def test_a_creation_that_fails_charges_nothing(api):
    await limit(api, {"configmaps": "9"})
    cms = f"{NAMESPACE}/configmaps"
    await api.must("POST", cms, config_map("one"))
    assert (await api.post(cms, config_map("one")))[0] == 409
    assert await used(api) == {"configmaps": "1"}
    await api.must("POST", f"{cms}?dryRun=All", config_map("two"))
    assert await used(api) == {"configmaps": "1"}


@with_api()
async def test_creations_at_once_never_exceed(api):
    """However many come at the same time, and whatever races with them."""
    await limit(api, {"count/configmaps": "7"})
    await limit_again(api)

    async def create(i: int) -> int:
        return (await api.post(f"{NAMESPACE}/configmaps", config_map(f"c{i}")))[0]

    async def meddle() -> None:
        for i in range(5):
            await api.patch(f"{QUOTAS}/q", {"metadata": {"labels": {"i": str(i)}}})
            await asyncio.sleep(0)

    *statuses, _ = await asyncio.gather(*(create(i) for i in range(30)), meddle())
    assert statuses.count(201) == 7
    assert set(statuses) == {201, 403}
    assert await used(api) == {"count/configmaps": "7"}
    assert await used(api, "second") == {"configmaps": "7"}


async def limit_again(api) -> None:
    await api.must("POST", QUOTAS, quota({"configmaps": "100"}, "second"))
    await api.server.barrier.fresh()


@with_api()
async def test_a_services_type_is_charged_when_it_changes(api):
    await limit(api, {"services.nodeports": "1"})
    spec = {"ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}
    await api.must("POST", SERVICES, service)
    await api.patch(f"{SERVICES}/s", {"spec": {"type": "NodePort"}})
    assert await used(api) == {"services.nodeports": "1"}
    status, answer = await api.post(
        SERVICES, {**service, "metadata": {"name": "t"}, "spec": spec | {"type": "NodePort"}}
    )
    assert status == 403, answer


@with_api()
async def test_a_quota_on_cpu_demands_that_it_is_declared(api):
    await limit(api, {"limits.cpu": "1", "requests.memory": "1Gi"})
    _, answer = await api.post(PODS, pod("one"))
    assert answer["message"] == (
        'pods "one" is forbidden: failed quota: q: must specify limits.cpu for: main; requests.memory for: main'
    )


@with_api()
async def test_scopes_and_other_namespaces_are_not_charged(api):
    await limit(api, {"pods": "0"}, scopes=["Terminating"])
    await api.must("POST", PODS, pod("one"))
    status, _ = await api.post(PODS, pod("two", activeDeadlineSeconds=5))
    assert status == 403
    await with_account(api, "kube-public")
    await api.must("POST", "/api/v1/namespaces/kube-public/pods", pod("one", activeDeadlineSeconds=5))
