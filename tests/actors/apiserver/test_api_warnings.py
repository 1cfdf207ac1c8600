"""Warnings come with creates and updates; owners named twice are owners once; some kinds are made by a PUT."""

from actors.apiserver.call import Identity
from tests.actors.apiserver.api_harness import config_map, with_api

CMS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1"
OLD_LABEL = (
    'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'
)
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}


def deployment(**spec) -> dict:
    pod = {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {"beta.kubernetes.io/os": "linux"}}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod}
    return {
        "metadata": {"name": "x"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


@with_api()
async def test_creates_updates_and_applies(api):
    answer = await api.raw("POST", f"{DEPLOYMENTS}?dryRun=All", deployment())
    assert (answer.status, answer.warnings) == (201, [OLD_LABEL])
    apply = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment()}
    path = f"{DEPLOYMENTS}/x?fieldManager=m"
    answer = await api.raw("PATCH", path, apply, content_type="application/apply-patch+yaml")
    assert (answer.status, answer.warnings) == (201, [OLD_LABEL])
    merge = "application/merge-patch+json"
    answer = await api.raw("PATCH", f"{DEPLOYMENTS}/x", {"spec": {"paused": True}}, content_type=merge)
    assert (answer.status, answer.warnings) == (200, [OLD_LABEL])
    answer = await api.raw("PATCH", f"{DEPLOYMENTS}/x", {"metadata": {"labels": {"a": "b"}}}, content_type=merge)
    assert (answer.status, answer.warnings) == (200, [])
    answer = await api.raw("POST", DEPLOYMENTS, deployment(replicas=-1))
    assert answer.status == 422 and not answer.warnings


@with_api()
async def test_owners_named_twice(api):
    answer = await api.raw("POST", CMS, config_map("a", ownerReferences=[OWNER, OWNER]))
    assert "duplicate UID(s) observed: u" in answer.warnings[0]
    made = await api.must("GET", f"{CMS}/a")
    assert made["metadata"]["ownerReferences"] == [OWNER]
    made["metadata"]["ownerReferences"] = [OWNER, OWNER, {**OWNER, "name": "b", "uid": "v"}]
    answer = await api.raw("PUT", f"{CMS}/a", made)
    assert answer.status == 200 and len(answer.warnings) == 1
    owners = (await api.must("GET", f"{CMS}/a"))["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == ["u", "v"]


@with_api()
async def test_some_kinds_are_made_by_a_put(api):
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    status, answer = await api.put(f"{LEASES}/l?dryRun=All", lease)
    assert status == 201 and (await api.get(f"{LEASES}/l"))[0] == 404
    status, answer = await api.put(f"{LEASES}/l", lease)
    assert (status, answer["spec"]["holderIdentity"]) == (201, "me") and answer["metadata"]["uid"]
    assert (await api.put(f"{LEASES}/l", answer))[0] == 200
    assert (await api.put(f"{LEASES}/other", lease))[0] == 400
    assert (await api.put(f"{CMS}/a", config_map("a")))[0] == 404
    for gone in ({"uid": "1"}, {"resourceVersion": "1"}):  # one that was there once is not made again
        assert (await api.put(f"{LEASES}/m", {"metadata": {"name": "m", **gone}, "spec": {}}))[0] == 404


@with_api()
async def test_a_put_does_not_create_for_those_who_may_not(api):
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}
    await api.must("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "u"}, "rules": [rule]})
    binding = {"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "u"}, "metadata": {"name": "u"}}
    subjects = [{"kind": "User", "apiGroup": GROUP, "name": "jane"}]
    await api.must("POST", f"{RBAC}/clusterrolebindings", {**binding, "subjects": subjects})
    await api.server.barrier.fresh()
    lease = {"metadata": {"name": "l"}, "spec": {}}
    assert (await api.put(f"{LEASES}/l", lease, identity=Identity("jane", ("system:authenticated",))))[0] == 403
