"""The official Python client beyond its typed calls: dynamic client, informer, manifests."""

from collections.abc import Iterator

import pytest
from kubernetes import client, config, dynamic, utils
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, UnprocessibleEntityError
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def api(kubeconfig: str) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(kubeconfig) as api:
        yield api


@pytest.fixture
def anything(api: client.ApiClient, tmp_path) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))


def crontab(name: str, **spec) -> dict:
    return {
        "apiVersion": "clients.example.com/v1",
        "kind": "CronTab",
        "metadata": {"name": name},
        "spec": {"cron": "* * * * *", **spec},
    }


def test_the_dynamic_client_finds_every_resource(anything):
    found = {(resource.group_version, resource.kind) for resource in anything.resources.search()}
    assert {("v1", "Pod"), ("apps/v1", "Deployment"), ("events.k8s.io/v1", "Event")} <= found
    assert anything.resources.get(short_names=["deploy"]).kind == "Deployment"
    assert anything.version["kubernetes"]["major"] == "1"
    with pytest.raises(dynamic.exceptions.ResourceNotFoundError):
        anything.resources.get(kind="Gadget")


def test_the_dynamic_client_manages_a_custom_resource(anything, namespace, crontabs):
    tabs = anything.resources.get(api_version=crontabs, kind="CronTab")
    made = tabs.create(crontab("a"), namespace=namespace)
    assert made.spec.image == "busybox:1"
    patched = tabs.patch({"spec": {"replicas": 3}}, "a", namespace, content_type="application/merge-patch+json")
    assert patched.metadata.generation == 2
    stale = made.to_dict()
    stale["spec"]["cron"] = "0 * * * *"
    with pytest.raises(ConflictError):
        tabs.replace(stale, namespace=namespace)
    with pytest.raises(UnprocessibleEntityError, match="spec.cron"):
        tabs.create(crontab("b", cron="*"), namespace=namespace)
    status = {"status": {"phase": "Going", "replicas": 3}}
    told = tabs.status.patch(status, "a", namespace, content_type="application/merge-patch+json")
    assert (told.status.phase, told.metadata.generation) == ("Going", 2)
    assert tabs.scale.get("a", namespace).spec.replicas == 3
    listed = tabs.get(namespace=namespace, label_selector="!x", limit=1)
    assert [item.metadata.name for item in listed.items] == ["a"]
    tabs.delete("a", namespace, propagation_policy="Background")
    with pytest.raises(NotFoundError):
        tabs.get("a", namespace)


def test_the_dynamic_client_applies_on_the_server(anything, namespace):
    maps = anything.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"a": "1"}}
    maps.server_side_apply(body, namespace=namespace, field_manager="one")
    with pytest.raises(ConflictError, match="one"):
        maps.server_side_apply({**body, "data": {"a": "2"}}, namespace=namespace, field_manager="two")
    forced = maps.server_side_apply(
        {**body, "data": {"a": "2"}}, namespace=namespace, field_manager="two", force_conflicts=True
    )
    assert forced.data.a == "2"


def test_the_dynamic_client_watches(anything, namespace):
    maps = anything.resources.get(api_version="v1", kind="ConfigMap")
    seen = []
    maps.create({"metadata": {"name": "w"}}, namespace=namespace)
    for event in maps.watch(namespace=namespace, name="w", timeout=30):
        seen.append(event["type"])
        if event["type"] == "ADDED":
            maps.patch({"data": {"a": "1"}}, "w", namespace, content_type="application/merge-patch+json")
        elif event["type"] == "MODIFIED":
            maps.delete("w", namespace)
        elif event["type"] == "DELETED":
            break
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_an_informer_goes_on_where_it_was_when_the_api_server_was_killed(api, cluster: Cluster, namespace):
    core = client.CoreV1Api(api)
    seen: list[tuple[str, str]] = []
    errors: list[object] = []
    informer = SharedInformer(core.list_namespaced_config_map, namespace=namespace, label_selector="watched=yes")
    for kind in (ADDED, MODIFIED, DELETED):
        informer.add_event_handler(kind, lambda obj, kind=kind: seen.append((kind, obj.metadata.name)))
    informer.add_event_handler("ERROR", errors.append)

    def make(name: str) -> None:
        metadata = {"name": name, "labels": {"watched": "yes"}}
        eventually(lambda: _made(core, namespace, {"metadata": metadata}), f"{name} is there")

    make("before")
    informer.start()
    try:
        eventually(lambda: seen == [("ADDED", "before")], "the first list is in")
        before = cluster.actor("apiserver@m1")["pid"]
        cluster.kubus("kill", "apiserver@m1", "--signal", "KILL")
        eventually(lambda: cluster.actor("apiserver@m1")["pid"] != before, "a new API server")
        make("after")
        core.patch_namespaced_config_map("before", namespace, {"data": {"a": "1"}})
        core.delete_namespaced_config_map("before", namespace)
        expected = [("ADDED", "before"), ("ADDED", "after"), ("MODIFIED", "before"), ("DELETED", "before")]
        eventually(lambda: seen == expected, "the informer saw each change once")
        assert informer.cache.list_keys() == [f"{namespace}/after"]
    finally:
        informer._stop_event.set()
        core.delete_namespaced_config_map("after", namespace)  # its watch looks up with the next event only
        informer.stop()


def _made(core: client.CoreV1Api, namespace: str, body: dict) -> bool:
    """Create, whether or not an earlier try with an unknown outcome did."""
    try:
        core.create_namespaced_config_map(namespace, body, _request_timeout=5)
    except ApiException as error:
        if error.status != 409:
            raise AssertionError(str(error)) from error
    except Exception as error:
        if "urllib3" not in type(error).__module__:
            raise
        raise AssertionError(str(error)) from error
    return True


def test_a_manifest_of_many_documents_is_created(api, namespace):
    documents = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}},
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {
            "schedule": "@hourly",
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}},
        }},
    ]  # fmt: skip
    made = utils.create_from_yaml(api, yaml_objects=documents, namespace=namespace)
    assert [found[0].metadata.name for found in made] == ["s", "a", "c"]
    with pytest.raises(utils.FailToCreateError, match="AlreadyExists"):
        utils.create_from_yaml(api, yaml_objects=documents[:1], namespace=namespace)
    utils.create_from_yaml(api, yaml_objects=documents[:1], namespace=namespace, apply=True)
