"""kr8s: objects that know their client, by what discovery says; waits, scales, labels, owners, custom resources."""

import asyncio

import kr8s
import kr8s.asyncio
import pytest
from kr8s.objects import ConfigMap, Deployment, Namespace, Pod, Service, new_class

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def api(kubeconfig: str, namespace: str):
    return kr8s.api(kubeconfig=kubeconfig, namespace=namespace)


def config_map(name: str, namespace: str, **more) -> dict:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


def test_discovery(api):
    assert api.version()["major"] == "1"
    assert {"v1", "apps/v1", "discovery.k8s.io/v1"} <= set(api.api_versions())
    found = {resource["name"]: resource for resource in api.api_resources()}
    assert found["deployments"]["shortNames"] == ["deploy"]
    assert api.whoami()
    assert api.lookup_kind("deploy") == ("deployment/v1.apps", "deployments", True) or api.lookup_kind("deploy")


def test_the_life_of_an_object(api, namespace):
    made = ConfigMap(config_map("a", namespace, data={"k": "v"}), api=api)
    made.create()
    assert made.exists()
    made.patch({"data": {"k": "w"}})
    assert made.data.k == "w"
    made.label({"x": "1", "a.b/y": "2"})
    made.annotate(seen="yes")
    made.label("a.b/y-")
    again = ConfigMap.get("a", namespace=namespace, api=api)
    assert (dict(again.labels), again.annotations["seen"]) == ({"x": "1"}, "yes")
    assert [found.name for found in api.get("cm", namespace=namespace, label_selector={"x": "1"})] == ["a"]
    again.patch([{"op": "replace", "path": "/data/k", "value": "z"}], type="json")
    made.refresh()
    assert made.data.k == "z"
    made.delete(propagation_policy="Foreground")
    made.wait("delete", timeout=10)
    assert not made.exists()


def test_a_deployment_its_pods_and_its_service(api, namespace):
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }
    deployment = Deployment(config_map("d", namespace, spec=spec), api=api)
    deployment.create()
    deployment.wait("condition=Available", timeout=30)
    assert len(deployment.pods()) == 2
    deployment.scale(3)
    deployment.wait("jsonpath='{.status.readyReplicas}'=3", timeout=30)
    service = Service(config_map("s", namespace, spec={"selector": {"app": "d"}, "ports": [{"port": 80}]}), api=api)
    service.create()
    assert len(service.ready_pods()) == 3
    pod = deployment.pods()[0]
    pod.wait(["condition=Ready", "condition=Failed"], timeout=10)
    assert pod.status.phase == "Running"


def test_a_watch_of_pods_by_name_of_a_generated_object(api, namespace):
    pod = Pod.gen(name="g", image="any:1", namespace=namespace)
    pod.api = api
    pod.create()
    kinds = []
    for kind, seen in api.watch("pods", namespace=namespace):
        kinds.append(kind)
        if seen.status.get("phase") == "Running":
            break
    assert kinds[0] == "ADDED"
    pod.tolerate("key", operator="Exists", effect="NoSchedule")
    assert "key" in [toleration.get("key") for toleration in pod.tolerations]


def test_owned_objects_go_with_their_owner(api, namespace):
    owner, owned = (ConfigMap(config_map(name, namespace), api=api) for name in ("owner", "owned"))
    owner.create()
    owned.create()
    owner.adopt(owned)
    owner.delete()
    owned.wait("delete", timeout=20)


def test_a_custom_resource(api, namespace, crontabs):
    tab_class = new_class("CronTab", crontabs, namespaced=True, plural="crontabs", scalable=True)
    tab = tab_class(config_map("t", namespace, spec={"cron": "@daily"}), api=api)
    tab.create()
    assert tab.spec.image == "busybox:1"
    tab.scale(2)
    tab.refresh()
    assert tab.replicas == 2
    tab.patch({"status": {"phase": "Done"}}, subresource="status")
    assert [found.status.phase for found in api.get("crontabs.clients.example.com", namespace=namespace)] == ["Done"]
    with pytest.raises(kr8s.ServerError, match=r"spec\.replicas"):
        tab.patch({"spec": {"replicas": -1}})


def test_what_is_refused_is_said(api, namespace):
    with pytest.raises(kr8s.NotFoundError):
        Namespace.get("nowhere", api=api, timeout=0.1)
    with pytest.raises(kr8s.ServerError, match="already exists") as refused:
        Namespace({"metadata": {"name": namespace}}, api=api).create()
    assert refused.value.status["reason"] == "AlreadyExists"


async def asynchronous(kubeconfig: str, namespace: str) -> None:
    api = await kr8s.asyncio.api(kubeconfig=kubeconfig, namespace=namespace)
    maps = [
        await kr8s.asyncio.objects.ConfigMap(config_map(f"n{number}", namespace, data={"n": str(number)}), api=api)
        for number in range(5)
    ]
    await asyncio.gather(*(made.create() for made in maps))
    found = {made.name async for made in api.get("configmaps", namespace=namespace) if made.name.startswith("n")}
    assert found == {f"n{number}" for number in range(5)}
    await api.async_create(maps[:0])


def test_the_async_client(kubeconfig, namespace):
    asyncio.run(asynchronous(kubeconfig, namespace))
