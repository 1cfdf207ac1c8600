"""lightkube: its sync and async clients, server-side apply, watches and conditions, generic resources of a CRD."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightkube import ApiError, AsyncClient, Client, KubeConfig, codecs, operators
from lightkube.generic_resource import create_namespaced_resource, create_resources_from_crd
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod
from lightkube.types import CascadeType, PatchType

from tests.cluster import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def api(kubeconfig: str, namespace: str) -> Iterator[Client]:
    with Client(KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="lightkube") as api:
        yield api


def config_map(name: str, data: dict | None = None, labels: dict | None = None) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels=labels), data=data)


def test_every_verb(api):
    made = api.create(config_map("a", {"k": "v"}))
    assert made.metadata.uid
    assert api.get(ConfigMap, "a").data == {"k": "v"}
    made.data["k"] = "w"
    assert api.replace(made).metadata.resourceVersion != made.metadata.resourceVersion
    with pytest.raises(ApiError) as refused:
        api.replace(made)
    assert (refused.value.status.code, refused.value.status.reason) == (409, "Conflict")
    assert api.patch(ConfigMap, "a", {"data": {"x": "y"}}).data == {"k": "w", "x": "y"}
    operations = [{"op": "remove", "path": "/data/x"}]
    assert api.patch(ConfigMap, "a", operations, patch_type=PatchType.JSON).data == {"k": "w"}
    assert not api.patch(ConfigMap, "a", {"data": {"k": None}}, patch_type=PatchType.MERGE).data
    labelled = api.set(ConfigMap, "a", labels={"l": "1"}, annotations={"n": "2"})
    assert (labelled.metadata.labels, labelled.metadata.annotations) == ({"l": "1"}, {"n": "2"})
    assert api.create(config_map("dry"), dry_run=True).metadata.uid
    api.delete(ConfigMap, "a", grace_period=0, cascade=CascadeType.FOREGROUND)  # the garbage collector has to agree
    eventually(lambda: not list(api.list(ConfigMap, fields={"metadata.name": "a"})), "the config map is gone")
    with pytest.raises(ApiError, match="not found"):
        api.get(ConfigMap, "a")


def test_lists_in_chunks_with_selectors(api):
    for number in range(7):
        api.create(config_map(f"n{number}", labels={"n": str(number), "odd": str(number % 2)}))
    found = api.list(ConfigMap, chunk_size=2, labels={"n": operators.in_(["1", "2", "3", "5"]), "odd": "1"})
    assert [item.metadata.name for item in found] == ["n1", "n3", "n5"]
    assert len(list(api.list(ConfigMap, labels={"odd": operators.exists()}, fields={"metadata.name": "n4"}))) == 1
    everywhere = api.list(ConfigMap, namespace="*", labels={"n": operators.not_in(["0"]), "odd": "0"})
    assert {item.metadata.name for item in everywhere} == {"n2", "n4", "n6"}
    api.deletecollection(ConfigMap)
    assert list(api.list(ConfigMap, labels={"odd": operators.exists()})) == []


def test_a_watch(api):
    assert api.create(config_map("w", labels={"w": "1"}))
    seen = []
    for kind, obj in api.watch(ConfigMap, labels={"w": "1"}, server_timeout=30):
        seen.append((kind, obj.metadata.name))
        if kind == "ADDED":
            api.patch(ConfigMap, "w", {"metadata": {"labels": {"w": "2"}}})  # so it leaves what is watched
        elif kind == "DELETED":
            break
    assert seen == [("ADDED", "w"), ("DELETED", "w")]


def test_server_side_apply(api, namespace):
    applied = api.apply(config_map("s", {"a": "1", "b": "2"}))
    assert applied.metadata.managedFields[0].operation == "Apply"
    assert api.apply(config_map("s", {"a": "1"})).data == {"a": "1"}
    with pytest.raises(ApiError) as refused:
        api.apply(config_map("s", {"a": "3"}), field_manager="somebody")
    assert refused.value.status.reason == "Conflict"
    assert "lightkube" in refused.value.status.message
    assert api.apply(config_map("s", {"a": "3"}), field_manager="somebody", force=True).data == {"a": "3"}


MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "any:1"}]}
"""


def test_a_deployment_from_a_manifest_becomes_available(api):
    (wanted,) = codecs.load_all_yaml(MANIFEST)
    api.create(wanted)
    ready = api.wait(Deployment, "web", for_conditions=["Available"])
    assert ready.spec.template.spec.containers[0].image == "any:1"
    scale = api.get(Deployment.Scale, "web")
    scale.spec.replicas = 1
    assert api.replace(scale, "web").spec.replicas == 1
    told = api.patch(Deployment.Status, "web", {"metadata": {"annotations": {"seen": "yes"}}})
    assert told.metadata.annotations["seen"] == "yes"
    assert api.create(Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(containers=[Container(name="c", image="i")])))
    api.wait(Pod, "p", for_conditions=["Ready"])


def test_generic_resources_of_a_definition(api, crontabs):
    definition = codecs.load_all_yaml(Path(__file__).with_name("crontabs.yaml").read_text())[0]
    assert isinstance(definition, CustomResourceDefinition)
    create_resources_from_crd(definition)
    group, version = crontabs.split("/")
    tab = create_namespaced_resource(group, version, "CronTab", "crontabs")
    made = api.create(tab(metadata=ObjectMeta(name="g"), spec={"cron": "@weekly"}))
    assert made.spec == {"cron": "@weekly", "image": "busybox:1", "replicas": 1}
    assert api.patch(tab.Status, "g", {"status": {"phase": "X"}}, patch_type=PatchType.MERGE).status == {"phase": "X"}
    scaled = api.patch(tab.Scale, "g", {"spec": {"replicas": 4}}, patch_type=PatchType.MERGE)
    assert scaled.spec.replicas == 4
    applied = api.apply(tab(metadata=ObjectMeta(name="h"), spec={"cron": "@daily"}))
    assert applied.metadata.managedFields
    assert {item.metadata.name for item in api.list(tab)} == {"g", "h"}
    with pytest.raises(ApiError, match="spec.cron"):
        api.create(tab(metadata=ObjectMeta(name="wrong"), spec={"cron": 7}))
    api.deletecollection(tab)
    assert list(api.list(tab)) == []


async def asynchronous(kubeconfig: str, namespace: str) -> None:
    async with AsyncClient(KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="async") as api:
        assert {node.metadata.name async for node in api.list(Node)} == {"w1-0", "w1-1", "w1-2"}
        assert (await api.get(Namespace, namespace)).status.phase == "Active"
        await asyncio.gather(*(api.create(config_map(f"a{number}", labels={"a": "1"})) for number in range(20)))
        assert len([item async for item in api.list(ConfigMap, labels={"a": "1"}, chunk_size=7)]) == 20
        applied = await api.apply(config_map("applied", {"k": "v"}))
        seen = []
        watching = api.watch(
            ConfigMap, fields={"metadata.name": "applied"}, resource_version=applied.metadata.resourceVersion
        )
        await api.delete(ConfigMap, "applied")
        async for kind, obj in watching:
            seen.append((kind, obj.data))
            break
        assert seen == [("DELETED", {"k": "v"})]


def test_the_async_client(kubeconfig, namespace):
    asyncio.run(asynchronous(kubeconfig, namespace))
