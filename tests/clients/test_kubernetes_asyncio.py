"""kubernetes-asyncio: typed and dynamic calls, watches of many at once, leader election, manifests."""

import asyncio

import pytest
from kubernetes_asyncio import client, config, dynamic, utils, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.leaderelection import electionconfig, leaderelection
from kubernetes_asyncio.leaderelection.resourcelock.leaselock import LeaseLock

pytestmark = pytest.mark.timeout(120)


def with_client(work, kubeconfig: str, *more) -> None:
    """Run `work` with a client."""

    async def main() -> None:
        configuration = client.Configuration()
        await config.load_kube_config(kubeconfig, client_configuration=configuration)
        async with client.ApiClient(configuration) as api, asyncio.timeout(60):
            await work(api, *more)

    asyncio.run(main())


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def every_verb(api: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(api)
    made = await core.create_namespaced_config_map(namespace, config_map("a", k="v"))
    assert (await core.read_namespaced_config_map("a", namespace)).data == {"k": "v"}
    patched = await core.patch_namespaced_config_map("a", namespace, {"data": {"k": "w"}})
    assert patched.data == {"k": "w"}
    applied = await core.patch_namespaced_config_map(
        "b", namespace, config_map("b", k="v"), field_manager="me", _content_type="application/apply-patch+yaml"
    )
    assert applied.metadata.managed_fields[0].manager == "me"
    made.data = {"k": "x"}
    with pytest.raises(ApiException) as refused:
        await core.replace_namespaced_config_map("a", namespace, made)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    listed = await core.list_namespaced_config_map(namespace, field_selector="metadata.name=b", limit=5)
    assert [item.metadata.name for item in listed.items] == ["b"]
    await core.delete_namespaced_config_map("a", namespace, body=client.V1DeleteOptions(dry_run=["All"]))
    await core.delete_collection_namespaced_config_map(namespace, field_selector="metadata.name!=kube-root-ca.crt")
    left = await core.list_namespaced_config_map(namespace)
    assert {item.metadata.name for item in left.items} <= {"kube-root-ca.crt"}


def test_every_verb(kubeconfig, namespace):
    with_client(every_verb, kubeconfig, namespace)


async def two_watches(api: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(api)
    version = (await core.list_namespaced_config_map(namespace)).metadata.resource_version

    async def follow(list_, count: int) -> list[str]:
        seen: list[str] = []
        async with watch.Watch() as watching:
            stream = watching.stream(
                list_, namespace, label_selector="w=1", resource_version=version, timeout_seconds=30,
                allow_watch_bookmarks=True,
            )  # fmt: skip
            async for event in stream:
                seen.append(f"{event['type']} {event['object'].metadata.name}")
                if len(seen) == count:
                    break
        return seen

    following = [
        asyncio.create_task(follow(core.list_namespaced_config_map, 20)),
        asyncio.create_task(follow(core.list_namespaced_secret, 10)),
    ]
    for number in range(10):
        labelled = {"metadata": {"name": f"n{number}", "labels": {"w": "1"}}}
        await core.create_namespaced_config_map(namespace, labelled)
        await core.create_namespaced_secret(namespace, labelled)
        await core.delete_namespaced_config_map(f"n{number}", namespace)
    maps, secrets = await asyncio.gather(*following)
    assert maps == [f"{what} n{number}" for number in range(10) for what in ("ADDED", "DELETED")]
    assert secrets == [f"ADDED n{number}" for number in range(10)]


def test_two_watches_at_once(kubeconfig, namespace):
    with_client(two_watches, kubeconfig, namespace)


async def from_an_old_version(api: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(api)
    seen = []
    async with watch.Watch() as watching:
        # From version 0: what is there first, whatever it is, then what comes.
        async for event in watching.stream(core.list_namespaced_service_account, namespace, resource_version="0"):
            seen.append((event["type"], event["object"].metadata.name))
            if seen == [("ADDED", "default")]:
                await core.patch_namespaced_service_account("default", namespace, {"metadata": {"labels": {"a": "b"}}})
            if seen[-1][0] == "MODIFIED":
                break
    assert seen == [("ADDED", "default"), ("MODIFIED", "default")]


def test_a_watch_from_version_0(kubeconfig, namespace):
    with_client(from_an_old_version, kubeconfig, namespace)


async def custom_resource(api: client.ApiClient, namespace: str, api_version: str) -> None:
    anything = await dynamic.DynamicClient(api)
    tabs = await anything.resources.get(api_version=api_version, kind="CronTab")
    body = {"apiVersion": api_version, "kind": "CronTab", "metadata": {"name": "t"}, "spec": {"cron": "@daily"}}
    made = await tabs.server_side_apply(body, namespace=namespace, field_manager="me")
    assert made.spec.replicas == 1
    watching = tabs.watch(namespace=namespace, resource_version=made.metadata.resourceVersion, timeout=30)
    told = {"status": {"phase": "Done"}}
    await tabs.status.patch(told, name="t", namespace=namespace, content_type="application/merge-patch+json")
    async for event in watching:
        assert (event["type"], event["object"].status.phase) == ("MODIFIED", "Done")
        break
    custom = client.CustomObjectsApi(api)
    group, version = api_version.split("/")
    listed = await custom.list_namespaced_custom_object(group, version, namespace, "crontabs")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["t"]
    await custom.delete_namespaced_custom_object(group, version, namespace, "crontabs", "t")


def test_the_dynamic_client_and_a_custom_resource(kubeconfig, namespace, crontabs):
    with_client(custom_resource, kubeconfig, namespace, crontabs)


async def election(api: client.ApiClient, namespace: str) -> None:
    led: list[str] = []
    leads = {name: asyncio.Event() for name in ("first", "second")}

    def candidate(name: str) -> asyncio.Task:
        async def started() -> None:
            led.append(name)
            leads[name].set()

        async def stopped() -> None:
            led.append(f"not {name}")

        lock = LeaseLock("leader", namespace, name, api)
        timing = {"lease_duration": 2, "renew_deadline": 1.5, "retry_period": 1}
        chosen = electionconfig.Config(lock, onstarted_leading=started, onstopped_leading=stopped, **timing)
        return asyncio.create_task(leaderelection.LeaderElection(chosen).run())

    first = candidate("first")
    await leads["first"].wait()
    second = candidate("second")
    first.cancel()
    await leads["second"].wait()
    second.cancel()
    await asyncio.wait([first, second])
    lease = await client.CoordinationV1Api(api).read_namespaced_lease("leader", namespace)
    assert (led, lease.spec.holder_identity) == (["first", "second"], "second")


def test_a_second_leader_takes_over_when_the_first_is_gone(kubeconfig, namespace):
    with_client(election, kubeconfig, namespace)


async def manifests(api: client.ApiClient, namespace: str) -> None:
    documents = {"apiVersion": "v1", "kind": "List", "items": [config_map("one"), config_map("two")]}
    made = await utils.create_from_dict(api, documents, namespace=namespace)
    assert len(made) == 2
    with pytest.raises(utils.FailToCreateError):
        await utils.create_from_dict(api, config_map("one"), namespace=namespace)


def test_manifests(kubeconfig, namespace):
    with_client(manifests, kubeconfig, namespace)
