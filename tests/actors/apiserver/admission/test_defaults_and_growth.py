"""Default ingress classes, claims that grow, and the labels that a pod has of its node."""

from tests.actors.apiserver.api_harness import pod, with_account, with_api

NETWORKING = "/apis/networking.k8s.io/v1"
INGRESSES = f"{NETWORKING}/namespaces/default/ingresses"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
PODS = "/api/v1/namespaces/default/pods"
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


def ingress(name: str, **spec) -> dict:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    return {"metadata": {"name": name}, "spec": {"defaultBackend": backend, **spec}}


@with_api()
async def test_volumes_and_claims_are_protected_from_the_start(api):
    volume = {
        "metadata": {"name": "v"},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a"}},
    }
    made = await api.must("POST", "/api/v1/persistentvolumes", volume)
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    claim = {
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    claim["metadata"]["finalizers"] = ["a.b/c", "kubernetes.io/pvc-protection"]
    made = await api.must("POST", "/api/v1/namespaces/default/persistentvolumeclaims", claim)
    assert made["metadata"]["finalizers"] == ["a.b/c", "kubernetes.io/pvc-protection"]


@with_api()
async def test_the_default_class_of_an_ingress(api):
    assert "ingressClassName" not in (await api.must("POST", INGRESSES, ingress("none")))["spec"]
    for name, default in (("plain", "false"), ("chosen", "true"), ("later", "true")):
        annotations = {"ingressclass.kubernetes.io/is-default-class": default}
        metadata = {"name": name, "annotations": annotations}
        await api.must("POST", f"{NETWORKING}/ingressclasses", {"metadata": metadata, "spec": {"controller": "a.b/c"}})
        api.clock.advance(5)
    await api.server.barrier.fresh()
    assert (await api.must("POST", INGRESSES, ingress("a")))["spec"]["ingressClassName"] == "later"
    assert (await api.must("POST", INGRESSES, ingress("b", ingressClassName="x")))["spec"]["ingressClassName"] == "x"
    old = ingress("c")
    old["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "mine"}
    assert "ingressClassName" not in (await api.must("POST", INGRESSES, old))["spec"]


def claim(name: str, storage_class: str) -> dict:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name}, "spec": {**spec, "storageClassName": storage_class}}


@with_api()
async def test_a_claim_grows_when_it_is_bound_and_its_class_allows_it(api):
    for name, allowed in (("fixed", False), ("growing", True)):
        made = {"metadata": {"name": name}, "provisioner": "a.b/c", "allowVolumeExpansion": allowed}
        await api.must("POST", CLASSES, made)
    larger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    said = {}
    for name in ("fixed", "growing"):
        await api.must("POST", CLAIMS, claim(name, name))
        bound = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
        await api.must("PATCH", f"{CLAIMS}/{name}/status", bound, content_type="application/merge-patch+json")
        await api.server.barrier.fresh()
        status, answer = await api.patch(f"{CLAIMS}/{name}", larger)
        said[name] = status, answer.get("message", "")
    assert said["growing"][0] == 200
    assert said["fixed"][0] == 403
    assert "the storageclass that provisions the pvc must support resize" in said["fixed"][1]


@with_api()
async def test_a_pod_has_its_nodes_zone(api):
    await with_account(api)
    labels = {ZONE: "z1", REGION: "r1", "other": "x"}
    await api.must("POST", "/api/v1/nodes", {"metadata": {"name": "w1", "labels": labels}})
    await api.server.barrier.fresh()
    await api.must("POST", PODS, pod("bound"))
    await api.must("POST", PODS, pod("placed", node="w1"))
    await api.server.barrier.fresh()
    binding = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "bound"}, "target": {"name": "w1"}}
    await api.must("POST", f"{PODS}/bound/binding", binding)
    for name in ("bound", "placed"):
        found = (await api.must("GET", f"{PODS}/{name}"))["metadata"].get("labels", {})
        assert {key: found.get(key) for key in (ZONE, REGION, "other")} == {ZONE: "z1", REGION: "r1", "other": None}
