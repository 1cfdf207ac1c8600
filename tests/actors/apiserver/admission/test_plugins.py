"""The smaller built-in steps: priority, tokens, storage classes, runtime classes, taints of new nodes, kubelets."""

import pytest

from actors.apiserver.admission.node import _is_allowed_label
from actors.apiserver.call import AUTHENTICATED, Identity
from tests.actors.apiserver.api_harness import pod, with_account, with_api

NAMESPACE = "/api/v1/namespaces/default"
PODS = f"{NAMESPACE}/pods"
SCHEDULING, STORAGE, NODE = "/apis/scheduling.k8s.io/v1", "/apis/storage.k8s.io/v1", "/apis/node.k8s.io/v1"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
KUBELET = Identity("system:node:w1", ("system:nodes", AUTHENTICATED), nodes=frozenset({"w1"}))


async def create(api, path: str, kind: str, version: str, name: str, **more) -> dict:
    return await api.must("POST", path, {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more})


async def priority_class(api, name: str, value: int, **more) -> None:
    path = f"{SCHEDULING}/priorityclasses"
    await create(api, path, "PriorityClass", "scheduling.k8s.io/v1", name, value=value, **more)
    await api.server.barrier.fresh()


@with_api()
async def test_priority(api):
    await with_account(api)
    made = await api.must("POST", PODS, pod("plain"))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    await priority_class(api, "high", 1000, preemptionPolicy="Never")
    made = await api.must("POST", PODS, pod("high", priorityClassName="high"))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (1000, "Never")
    status, answer = await api.post(PODS, pod("lost", priorityClassName="nowhere"))
    assert (status, answer["message"]) == (
        403, 'pods "lost" is forbidden: no PriorityClass with name nowhere was found')  # fmt: skip
    status, answer = await api.post(PODS, pod("wrong", priorityClassName="high", priority=5))
    assert status == 403
    assert "the integer value of priority (5) must not be provided in pod spec" in answer["message"]


@with_api()
async def test_the_default_priority_class(api):
    await with_account(api)
    await priority_class(api, "usual", 7, globalDefault=True)
    made = await api.must("POST", PODS, pod("plain"))
    assert (made["spec"]["priority"], made["spec"]["priorityClassName"]) == (7, "usual")
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "other"}, "value": 1}
    status, answer = await api.post(f"{SCHEDULING}/priorityclasses", body | {"globalDefault": True})
    assert status == 403
    assert "PriorityClass usual is already marked as default" in answer["message"]


@with_api()
async def test_a_token_is_mounted_into_every_container(api):
    await with_account(api)
    made = await api.must("POST", PODS, pod("p", initContainers=[{"name": "i", "image": "x"}]))
    spec = made["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    sources = volume["projected"]["sources"]
    assert sources[0] == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert sources[1]["configMap"]["name"] == "kube-root-ca.crt"
    for one in spec["initContainers"] + spec["containers"]:
        assert one["volumeMounts"] == [{"name": volume["name"], "readOnly": True, "mountPath": TOKEN_PATH}]


@pytest.mark.parametrize(
    ("own", "of_account", "mounted"),
    [(None, None, True), (False, None, False), (None, False, False), (True, False, True), (False, True, False)],
)
def test_who_declines_a_token(own, of_account, mounted):
    @with_api()
    async def check(api):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        if of_account is not None:
            account["automountServiceAccountToken"] = of_account
        await api.must("POST", f"{NAMESPACE}/serviceaccounts", account)
        more = {} if own is None else {"automountServiceAccountToken": own}
        made = await api.must("POST", PODS, pod("p", **more))
        assert ("volumes" in made["spec"]) is mounted

    check()


@with_api()
async def test_a_mount_that_is_there_stays(api):
    await with_account(api)
    mine = pod("p", volumes=[{"name": "mine", "emptyDir": {}}])
    mine["spec"]["containers"][0]["volumeMounts"] = [{"name": "mine", "mountPath": TOKEN_PATH}]
    made = await api.must("POST", PODS, mine)
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["mine"]


@with_api()
async def test_the_default_storage_class(api):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    claims = f"{NAMESPACE}/persistentvolumeclaims"
    for entry in list(api.cache.at(b"/registry/storage.k8s.io/storageclasses/").entries.values()):
        await api.must("DELETE", f"{STORAGE}/storageclasses/{entry.decode()['metadata']['name']}")
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    for name, annotations in (("plain", {}), ("marked", default)):
        body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/p"}
        await api.must(
            "POST", f"{STORAGE}/storageclasses", body | {"metadata": {"name": name, "annotations": annotations}}
        )
    await api.server.barrier.fresh()
    assert (await api.must("POST", claims, claim))["spec"]["storageClassName"] == "marked"
    claim["metadata"]["name"], claim["spec"]["storageClassName"] = "none", ""
    assert (await api.must("POST", claims, claim))["spec"]["storageClassName"] == ""


@with_api()
async def test_a_runtime_class(api):
    """RuntimeClass: overhead and scheduling come from the class; a class that is not there is refused."""
    await with_account(api)
    scheduling = {"nodeSelector": {"sandboxed": "yes"}, "tolerations": [{"key": "sandboxed", "operator": "Exists"}]}
    await create(
        api, f"{NODE}/runtimeclasses", "RuntimeClass", "node.k8s.io/v1", "sandbox", handler="sandbox",
        overhead={"podFixed": {"memory": "64Mi"}}, scheduling=scheduling,
    )  # fmt: skip
    await api.server.barrier.fresh()
    made = await api.must("POST", PODS, pod("p", runtimeClassName="sandbox", nodeSelector={"disk": "fast"}))
    assert made["spec"]["overhead"] == {"memory": "64Mi"}
    assert made["spec"]["nodeSelector"] == {"disk": "fast", "sandboxed": "yes"}
    assert {"key": "sandboxed", "operator": "Exists"} in made["spec"]["tolerations"]
    status, answer = await api.post(PODS, pod("q", runtimeClassName="nowhere"))
    assert status == 403
    assert answer["message"] == 'pods "q" is forbidden: pod rejected: RuntimeClass "nowhere" not found'
    status, _ = await api.post(PODS, pod("r", overhead={"memory": "1Mi"}))
    assert status == 403


@with_api()
async def test_a_new_node_takes_no_pods_yet(api):
    made = await create(api, "/api/v1/nodes", "Node", "v1", "w1")
    assert made["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("example.com/anything", True),
        ("plain", True),
        ("kubernetes.io/hostname", True),
        ("node.kubernetes.io/instance-type", True),
        ("sub.node.kubernetes.io/x", True),
        ("kubelet.kubernetes.io/x", True),
        ("node-role.kubernetes.io/control-plane", False),
        ("node-restriction.kubernetes.io/x", False),
        ("app.k8s.io/x", False),
    ],
)
def test_labels_that_a_kubelet_may_give_its_node(label, allowed):
    assert _is_allowed_label(label) is allowed


@with_api()
async def test_a_kubelet_asks_for_tokens_of_its_own_pods_only(api):
    await with_account(api)
    mine = await api.must("POST", PODS, pod("mine", node="w1"))
    other = await api.must("POST", PODS, pod("other", node="w2"))
    await api.server.barrier.fresh()

    async def ask(bound: dict | None) -> tuple[int, dict]:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        if bound is not None:
            reference = {"apiVersion": "v1", "kind": "Pod"} | {key: bound["metadata"][key] for key in ("name", "uid")}
            body["spec"]["boundObjectRef"] = reference
        return await api.post(f"{NAMESPACE}/serviceaccounts/default/token", body, identity=KUBELET)

    assert (await ask(mine))[0] == 201
    assert (await ask(None))[0] == 403
    assert (await ask(other))[0] == 403
