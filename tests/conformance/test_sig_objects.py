"""sig-node and sig-storage: objects without a process behind them, through the whole of their lives in the API."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Refused
from tests.conformance.pods import Space, config_map, container, pod, secret

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

POD = {"spec": pod(container(None))["spec"]}
CLAIM_SPEC = {
    "accessModes": ["ReadWriteOnce"],
    "storageClassName": "conformance",
    "resources": {"requests": {"storage": "1Gi"}},
}
VOLUME_SPEC = {
    "accessModes": ["ReadWriteOnce"],
    "storageClassName": "conformance",
    "capacity": {"storage": "1Gi"},
    "csi": {"driver": "nobody.example", "volumeHandle": "one"},
}
STORAGE, RESOURCE = "storage.k8s.io/v1", "resource.k8s.io/v1"
DEVICES = {"spec": {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "conformance"}}]}}}
SLICE_SPEC = {
    "driver": "nobody.example",
    "nodeName": "nowhere",
    "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
    "devices": [{"name": "one"}],
}

# behaviour -> (resource, kind, whether it is in a namespace, what it has besides metadata)
LIVES: dict[str, tuple[str, str, bool, dict[str, Any]]] = {
    "ConfigMap lifecycle": ("configmaps", "ConfigMap", True, {"data": {"k": "v"}}),
    "ConfigMap Update": ("configmaps", "ConfigMap", True, {"data": {"k": "v"}}),
    "Node, resource lifecycle": ("nodes", "Node", False, {"spec": {"unschedulable": True}}),
    "PodTemplate lifecycle": ("podtemplates", "PodTemplate", True, {"template": POD}),
    "PodTemplate, delete a collection": ("podtemplates", "PodTemplate", True, {"template": POD}),
    "lease API should be available": (
        "coordination.k8s.io/v1/leases",
        "Lease",
        True,
        {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 30, "acquireTime": "2026-01-01T00:00:00.000001Z"}},
    ),
    "CRUD operations for deviceclasses": (f"{RESOURCE}/deviceclasses", "DeviceClass", False, {"spec": {}}),
    "CRUD operations for resourceclaims": (f"{RESOURCE}/resourceclaims", "ResourceClaim", True, DEVICES),
    "CRUD operations for resourceclaimtemplates": (
        f"{RESOURCE}/resourceclaimtemplates",
        "ResourceClaimTemplate",
        True,
        {"spec": DEVICES},
    ),
    "CRUD operations for resoureslices": (f"{RESOURCE}/resourceslices", "ResourceSlice", False, {"spec": SLICE_SPEC}),
    "CSIDriver, lifecycle": (f"{STORAGE}/csidrivers", "CSIDriver", False, {"spec": {"attachRequired": False}}),
    "CSINode, lifecycle": (f"{STORAGE}/csinodes", "CSINode", False, {"spec": {"drivers": []}}),
    "CSIStorageCapacity API": (
        f"{STORAGE}/csistoragecapacities",
        "CSIStorageCapacity",
        True,
        {"storageClassName": "conformance", "capacity": "1Gi"},
    ),
    "StorageClass, lifecycle": (
        f"{STORAGE}/storageclasses",
        "StorageClass",
        False,
        {"provisioner": "nobody.example", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    ),
    "VolumeAttributesClass, lifecycle": (
        f"{STORAGE}/volumeattributesclasses",
        "VolumeAttributesClass",
        False,
        {"driverName": "nobody.example", "parameters": {"iops": "100"}},
    ),
}


def api_version(resource: str) -> str:
    return resource.rpartition("/")[0] or "v1"


def made(resource: str, kind: str, name: str, label: str, fields: dict) -> dict:
    metadata = {"name": name, "labels": {"of": label}}
    return {"apiVersion": api_version(resource), "kind": kind, "metadata": metadata, **fields}


def holds(found: Any, wanted: Any) -> bool:
    """Tell whether an object has what was asked for; defaults may have come to it."""
    if isinstance(wanted, dict):
        return all(key in found and holds(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return found == wanted


@pytest.fixture
def life(request: pytest.FixtureRequest, api: Api, space: Space) -> Iterator[tuple[Space, str, str, str, dict]]:
    """Where the objects of a behaviour live, their resource, kind, label and fields; cleaned up afterwards."""
    resource, kind, is_namespaced, fields = LIVES[request.param]
    place = space if is_namespaced else Space(api, "")
    label = "".join(char for char in request.param.lower() if char.isalnum())
    yield place, resource, kind, label, fields
    place.delete_all(resource, f"of={label}")


@pytest.mark.parametrize("life", LIVES, indirect=True)
def test_the_life_of_an_object(life: tuple[Space, str, str, str, dict]):
    place, resource, kind, label, fields = life
    one, selector = f"{label}-1", f"of={label}"
    group, _, plural = resource.rpartition("/")
    served = place.api.json("GET", f"/apis/{group}" if group else "/api/v1")
    assert plural in {item["name"] for item in served["resources"]}
    created = place.create(resource, made(resource, kind, one, label, fields))
    assert holds(created, fields)
    assert holds(place.get(resource, one), fields)
    changed = place.patch(resource, one, {"metadata": {"labels": {"patched": "yes"}}})
    assert changed["metadata"]["labels"] == {"of": label, "patched": "yes"}
    place.modify(resource, one, lambda found: found["metadata"]["labels"].update(updated="yes"))
    labels = place.get(resource, one)["metadata"]["labels"]
    assert labels == {"of": label, "patched": "yes", "updated": "yes"}
    assert [item["metadata"]["name"] for item in place.list(resource, "updated=yes")] == [one]
    place.create(resource, made(resource, kind, f"{label}-2", label, fields))
    assert len(place.list(resource, selector)) == 2
    place.delete(resource, one)
    eventually(lambda: not place.has(resource, one), f"{one} is gone", 10)
    place.delete_all(resource, selector)
    eventually(lambda: place.list(resource, selector) == [], "the collection is gone", 10)


@pytest.mark.parametrize("life", ["CSIStorageCapacity API", "lease API should be available"], indirect=True)
def test_a_watch_tells_of_an_object(life: tuple[Space, str, str, str, dict]):
    place, resource, kind, label, fields = life
    version = place.api.json("GET", place.path(resource))["metadata"]["resourceVersion"]
    place.create(resource, made(resource, kind, f"{label}-w", label, fields))
    place.delete(resource, f"{label}-w")
    query = {"watch": "1", "resourceVersion": version, "labelSelector": f"of={label}", "timeoutSeconds": 1}
    lines = place.api.request("GET", place.path(resource), **query).decode().splitlines()
    assert ['"ADDED"' in lines[0], '"DELETED"' in lines[1]] == [True, True]


@pytest.mark.parametrize(
    ("behaviour", "resource"),
    [("ConfigMap, with empty-key", "configmaps"), ("Secrets, with empty-key", "secrets")],
)
def test_an_empty_key_is_refused(behaviour: str, resource: str, space: Space):
    of = config_map if resource == "configmaps" else secret
    with pytest.raises(Refused) as refused:
        space.create(resource, of("empty-key", {"": "value"}))
    assert refused.value.code == 422


def refuses(space: Space, change: Any) -> None:
    with pytest.raises(Refused) as refused:
        space.patch("secrets", "immutable", change)
    assert refused.value.code == 422


def test_an_immutable_secret(space: Space):
    """Secrets Volume, immutability"""
    space.create("secrets", secret("immutable", {"k": "v"}))
    assert space.patch("secrets", "immutable", {"stringData": {"k": "w"}})["data"] == {"k": "dw=="}
    assert space.patch("secrets", "immutable", {"immutable": True})["immutable"]
    refuses(space, {"stringData": {"k": "x"}})
    refuses(space, {"immutable": False})
    space.patch("secrets", "immutable", {"metadata": {"labels": {"of": "immutable"}}})
    space.delete("secrets", "immutable")
    assert not space.has("secrets", "immutable")


def test_a_pod_with_an_inline_volume_of_csi(space: Space):
    """CSIInlineVolumes should support Pods with inline volumes"""
    volume = {"name": "v", "csi": {"driver": "nobody.example", "volumeAttributes": {"a": "b"}}}
    other = pod(container(None), volumes=[volume], nodeSelector={"no": "node"}, labels={"of": "inline"})
    name = space.start(other)
    source = space.get("pods", name)["spec"]["volumes"][0]["csi"]
    assert (source["driver"], source["volumeAttributes"]) == ("nobody.example", {"a": "b"})
    assert [item["metadata"]["name"] for item in space.list("pods", "of=inline")] == [name]
    assert space.patch("pods", name, {"metadata": {"labels": {"x": "y"}}})["metadata"]["labels"]["x"] == "y"
    space.delete("pods", name)
    space.gone(name)


def test_the_life_of_a_volume_and_its_claim(space: Space, api: Api):
    """PersistentVolumes(Claims), lifecycle"""
    whole, label = Space(api, ""), {"of": "pv-life"}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "spec": VOLUME_SPEC}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": CLAIM_SPEC}
    for number in (1, 2):
        whole.create("persistentvolumes", {**volume, "metadata": {"name": f"pv-{number}", "labels": label}})
        space.create("persistentvolumeclaims", {**claim, "metadata": {"name": f"pvc-{number}", "labels": label}})
        for place, resource, name in (
            (whole, "persistentvolumes", f"pv-{number}"),
            (space, "persistentvolumeclaims", f"pvc-{number}"),
        ):
            uid = place.get(resource, name)["metadata"]["uid"]
            assert [item["metadata"]["uid"] for item in place.list(resource, "of=pv-life")] == [uid]
            assert place.patch(resource, name, {"metadata": {"labels": {"p": "q"}}})["metadata"]["labels"]["p"] == "q"
            updated = place.modify(resource, name, lambda found: found["metadata"]["labels"].update(u="v"))
            assert (updated["metadata"]["labels"]["u"], updated["metadata"]["uid"]) == ("v", uid)
        if number == 1:
            space.delete("persistentvolumeclaims", "pvc-1")
            whole.delete("persistentvolumes", "pv-1")
        else:
            space.delete_all("persistentvolumeclaims", "of=pv-life")
            whole.delete_all("persistentvolumes", "of=pv-life")
        eventually(lambda: space.list("persistentvolumeclaims", "of=pv-life") == [], "the claim is gone", 15)
        eventually(lambda: whole.list("persistentvolumes", "of=pv-life") == [], "the volume is gone", 15)


def test_the_status_of_a_volume_attachment(api: Api):
    """VolumeAttachment, apply changes to a volumeattachment status"""
    whole, resource, name = Space(api, ""), f"{STORAGE}/volumeattachments", "attachment"
    spec = {"attacher": "nobody.example", "nodeName": "nowhere", "source": {"persistentVolumeName": "pv"}}
    whole.create(resource, made(resource, "VolumeAttachment", name, "attachment", {"spec": spec}))
    assert whole.patch(resource, name, {"metadata": {"labels": {"p": "q"}}})["metadata"]["labels"]["p"] == "q"
    assert not whole.get(resource, name, "status")["status"]["attached"]
    assert whole.patch(resource, name, {"status": {"attached": True}}, sub="status")["status"]["attached"]
    changed = whole.modify(resource, name, lambda found: found["status"].update(attached=False), "status")
    assert not changed["status"]["attached"]
    whole.delete(resource, name)
    eventually(lambda: not whole.has(resource, name), "it is gone", 10)
