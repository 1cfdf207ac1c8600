"""Binding, provisioning, reclaiming and protecting persistent volumes: decisions, and whole loops with faults."""

from pathlib import Path
from typing import Any

import pytest

from actors.controller_manager.actions import ConfirmAbsent, Create, Delete, Emit, Patch
from actors.controller_manager.persistent_volume import protection, provisioner
from actors.controller_manager.persistent_volume.claims import Around, reconcile_claim
from actors.controller_manager.persistent_volume.controller import (
    ClaimProtection,
    EphemeralVolumeController,
    PersistentVolumeBinder,
    VolumeProtection,
)
from actors.controller_manager.persistent_volume.match import best_volume, misfit
from actors.controller_manager.persistent_volume.volumes import reconcile_volume

from .objects import metadata
from .objects import pod as bound_pod
from .simulation import Simulation

Object = dict[str, Any]

ROOT = Path("/data/volumes")
ALL = [PersistentVolumeBinder, ClaimProtection, VolumeProtection, EphemeralVolumeController]
FAULTS = {"conflict": 0.05, "lost_request": 0.05, "lost_answer": 0.05, "crash": 0.01}


def claim(name: str = "data", size: str = "1Gi", storage_class: str | None = "", **more: Any) -> Object:
    spec: Object = {"accessModes": more.pop("modes", ["ReadWriteOnce"]), "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    spec |= more.pop("spec", {})
    status = more.pop("status", {"phase": "Pending"})
    found = metadata(name, **more)
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": found, "spec": spec, "status": status}


def volume(
    name: str = "pv", size: str = "1Gi", storage_class: str = "", phase: str = "Available", **more: Any
) -> Object:
    spec: Object = {
        "accessModes": more.pop("modes", ["ReadWriteOnce"]),
        "capacity": {"storage": size},
        "storageClassName": storage_class,
        "hostPath": {"path": more.pop("path", "/tmp/x")},
        "persistentVolumeReclaimPolicy": more.pop("policy", "Retain"),
    }
    if to := more.pop("to", None):
        meta = to["metadata"]
        spec["claimRef"] = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
    spec |= more.pop("spec", {})
    found = metadata(name, namespace=None, **more)
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": found, "spec": spec, "status": {"phase": phase}}


def storage_class(name: str = "standard", mode: str = "Immediate", made_by: str = provisioner.PROVISIONER) -> Object:
    made = metadata(name, namespace=None)
    return {"metadata": made, "provisioner": made_by, "reclaimPolicy": "Delete", "volumeBindingMode": mode}


def around(*volumes: Object, of: Object | None = None, node: Object | None = None, default: str = "") -> Around:
    return Around(volumes, of, default, node, ROOT)


def events(actions: list[Any]) -> list[str]:
    return [action.reason for action in actions if isinstance(action, Emit)]


def test_the_smallest_that_fits_wins():
    volumes = [volume("big", "5Gi"), volume("fits", "2Gi"), volume("small", "1Mi"), volume("taken", phase="Bound")]
    assert best_volume(claim(size="1Gi"), volumes, None, False)["metadata"]["name"] == "fits"


@pytest.mark.parametrize(
    "other",
    [
        volume(storage_class="fast"),
        volume(modes=["ReadOnlyMany"]),
        volume(spec={"volumeMode": "Block"}),
        volume(deletionTimestamp="2024-01-01T00:00:00Z"),
        volume(to=claim("other")),
        volume(phase="Released"),
    ],
)
def test_what_does_not_fit_is_passed_over(other):
    assert best_volume(claim(), [other], None, False) is None


def test_a_volume_made_for_a_claim_comes_first_and_needs_no_labels():
    wanted = claim(spec={"selector": {"matchLabels": {"tier": "db"}}})
    free, labelled = volume("free"), volume("labelled", labels={"tier": "db"})
    assert best_volume(wanted, [free, labelled], None, False) is labelled
    mine = volume("mine", "9Gi", to=wanted)
    assert best_volume(wanted, [free, labelled, mine], None, True) is mine


def test_a_volume_of_another_node_is_no_match_once_the_node_is_known():
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w2"]}]}]
    local = volume(spec={"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}})
    nodes = [{"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}} for name in ("w1", "w2")]
    assert best_volume(claim(), [local], nodes[0], False) is None
    assert best_volume(claim(), [local], nodes[1], False) is local


def test_misfits_are_told():
    assert misfit(claim(size="2Gi"), volume()) == "requested PV is too small"
    assert misfit(claim(storage_class="a"), volume()) == "storageClassName does not match"
    assert misfit(claim(), volume()) == ""


def test_a_binding_takes_four_writes_and_then_nothing():
    wanted, free = claim(), volume()
    (first,) = reconcile_claim(wanted, around(free))
    assert isinstance(first, Patch) and first.patch["spec"]["claimRef"]["uid"] == wanted["metadata"]["uid"]
    held = volume(to=wanted)
    (second,) = reconcile_claim(wanted, around(held))
    assert (second.patch["status"], second.subresource) == ({"phase": "Bound"}, "status")
    held = volume(to=wanted, phase="Bound")
    (third,) = reconcile_claim(wanted, around(held))
    assert third.patch["spec"] == {"volumeName": "pv"}
    named = {**wanted, "spec": wanted["spec"] | {"volumeName": "pv"}}
    named["metadata"] = named["metadata"] | {"annotations": third.patch["metadata"]["annotations"]}
    (fourth,) = reconcile_claim(named, around(held))
    assert fourth.patch["status"]["capacity"] == {"storage": "1Gi"}
    assert reconcile_claim(named | {"status": fourth.patch["status"]}, around(held)) == []


def test_without_class_or_volume_users_are_told():
    assert events(reconcile_claim(claim(), around())) == ["FailedBinding"]
    assert events(reconcile_claim(claim(storage_class="none"), around())) == ["ProvisioningFailed"]


def test_a_claim_without_a_word_on_classes_gets_the_default_one_later():
    (write,) = reconcile_claim(claim(storage_class=None), around(default="standard"))
    assert write.patch["spec"] == {"storageClassName": "standard"}
    assert events(reconcile_claim(claim(storage_class=""), around(default="standard"))) == ["FailedBinding"]


def test_provisioning():
    waiting = claim(storage_class="standard")
    (mark,) = reconcile_claim(waiting, around(of=storage_class()))
    waiting["metadata"]["annotations"] = mark.patch["metadata"]["annotations"]
    create, told = reconcile_claim(waiting, around(of=storage_class()))
    made = create.obj
    assert made["spec"]["hostPath"] == {"path": f"/data/volumes/pvc-{waiting['metadata']['uid']}",
                                        "type": "DirectoryOrCreate"}  # fmt: skip
    assert made["spec"]["claimRef"]["uid"] == waiting["metadata"]["uid"]
    assert told.reason == "ProvisioningSucceeded"
    block = claim(
        storage_class="standard", spec={"volumeMode": "Block"}, annotations=waiting["metadata"]["annotations"]
    )
    assert events(reconcile_claim(block, around(of=storage_class()))) == ["ProvisioningFailed"]
    other = storage_class(made_by="example.com/nfs")
    (mark,) = reconcile_claim(waiting, around(of=other))
    waiting["metadata"]["annotations"] = mark.patch["metadata"]["annotations"]
    assert events(reconcile_claim(waiting, around(of=other))) == ["ExternalProvisioning"]


def test_the_first_consumer_decides_the_node():
    late = storage_class(mode="WaitForFirstConsumer")
    waiting = claim(
        storage_class="standard", annotations={"volume.kubernetes.io/storage-provisioner": provisioner.PROVISIONER}
    )
    assert events(reconcile_claim(waiting, around(of=late))) == ["WaitForFirstConsumer"]
    node = {"metadata": {"name": "w1", "labels": {"kubernetes.io/hostname": "w1"}}}
    create = reconcile_claim(waiting, around(of=late, node=node))[0]
    assert isinstance(create, Create)
    terms = create.obj["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["w1"]


def test_a_named_volume_that_is_anothers_or_too_small_is_waited_for():
    wanted = claim(spec={"volumeName": "pv"})
    assert events(reconcile_claim(wanted, around(volume(to=claim("other"))))) == ["FailedBinding"]
    assert events(reconcile_claim(wanted, around(volume(size="1Mi")))) == ["VolumeMismatch"]
    assert reconcile_claim(wanted, around()) == []


def test_a_bound_claim_whose_volume_is_gone_is_lost():
    bound = claim(spec={"volumeName": "pv"}, annotations={"pv.kubernetes.io/bind-completed": "yes"})
    bound["status"] = {"phase": "Bound"}
    actions = reconcile_claim(bound, around())
    assert actions[0].patch["status"] == {"phase": "Lost"}
    assert events(actions) == ["ClaimLost"]
    assert events(reconcile_claim(bound, around(volume(to=claim("other"))))) == ["ClaimMisbound"]


def test_phases_of_a_volume():
    assert reconcile_volume(volume(phase="Pending"), None, ROOT)[1][0].patch["status"]["phase"] == "Available"
    held = claim()
    assert reconcile_volume(volume(to=held), held, ROOT)[1][0].patch["status"]["phase"] == "Bound"
    absent, released = reconcile_volume(volume(to=held, phase="Bound"), None, ROOT)[1]
    assert absent == ConfirmAbsent("persistentvolumeclaims", "default", "data", held["metadata"]["uid"])
    assert released.patch["status"]["phase"] == "Released"
    again = claim()  # of the same name, and yet another
    assert len(reconcile_volume(volume(to=held, phase="Bound"), again, ROOT)[1]) == 2


def test_reclaiming():
    gone = claim()
    assert reconcile_volume(volume(to=gone, phase="Released"), None, ROOT) == (None, [])
    path, (delete,) = reconcile_volume(volume(to=gone, phase="Released", policy="Delete"), None, ROOT)
    assert path == Path("/tmp/x")
    assert isinstance(delete, Delete)
    recycled = reconcile_volume(volume(to=gone, phase="Released", policy="Recycle"), None, ROOT)
    assert events(recycled[1]) == ["VolumeFailedRecycle"]


@pytest.mark.parametrize("path", ["/etc", "/tmp", "/tmp/../etc", "/data/volumes/pvc-other", "/data/volumes/../x"])
def test_only_what_is_ours_is_removed(path):
    annotations = {"pv.kubernetes.io/provisioned-by": provisioner.PROVISIONER}
    mine = volume("pvc-1", to=claim(), phase="Released", policy="Delete", path=path, annotations=annotations)
    assert reconcile_volume(mine, None, ROOT) == (None, [])
    foreign = volume("pvc-1", to=claim(), phase="Released", policy="Delete", path=path)
    directory, actions = reconcile_volume(foreign, None, ROOT)
    assert directory is None
    assert events(actions) == ["VolumeFailedDelete"]


def test_protection():
    held = claim()
    (add,) = protection.reconcile_finalizer("persistentvolumeclaims", held, protection.CLAIM_FINALIZER, False)
    assert add.patch["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    held["metadata"] |= {"finalizers": ["kubernetes.io/pvc-protection"], "deletionTimestamp": "2024-01-01T00:00:00Z"}
    assert protection.reconcile_finalizer("persistentvolumeclaims", held, protection.CLAIM_FINALIZER, True) == []
    (drop,) = protection.reconcile_finalizer("persistentvolumeclaims", held, protection.CLAIM_FINALIZER, False)
    assert drop.patch["metadata"]["finalizers"] is None


def plain(obj: Object) -> Object:
    kept = {key: value for key, value in obj["metadata"].items() if key in ("name", "namespace", "annotations")}
    return {**obj, "metadata": kept}


@pytest.mark.parametrize("seed", range(10))
def test_claims_are_bound_one_to_one_whatever_fails(seed, tmp_path):
    simulation = Simulation(seed, ALL, **FAULTS)
    world = simulation.world
    for number in range(3):
        world.put("persistentvolumes", plain(volume(f"pv-{number}", "1Gi", "manual", phase="Pending")))
        world.put("persistentvolumeclaims", plain(claim(f"c-{number}", "1Gi", "manual")))
    world.put("persistentvolumeclaims", plain(claim("made", storage_class="standard")))
    simulation.run()
    claims = world.objects["persistentvolumeclaims"]
    volumes = world.objects["persistentvolumes"]
    assert {found["status"]["phase"] for found in claims.values()} == {"Bound"}
    named = [found["spec"]["volumeName"] for found in claims.values()]
    assert len(set(named)) == 4
    for found in claims.values():
        reference = volumes[found["spec"]["volumeName"]]["spec"]["claimRef"]
        assert reference["uid"] == found["metadata"]["uid"]
    assert {found["status"]["phase"] for found in volumes.values()} == {"Bound"}
    for key in ("default/c-0", "default/made"):
        world.remove("persistentvolumeclaims", claims[key])
    simulation.run()
    assert sorted(claims) == ["default/c-1", "default/c-2"]
    assert sorted(found["status"]["phase"] for found in volumes.values()) == ["Bound", "Bound", "Released"]


def test_a_claim_outlives_its_pod_and_an_ephemeral_one_does_not_begin_without():
    simulation = Simulation(1, ALL)
    world = simulation.world
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    spec = {
        "containers": [{"name": "c", "image": "c:1"}],
        "volumes": [
            {"name": "kept", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "own", "ephemeral": {"volumeClaimTemplate": template}},
        ],
    }
    world.put("persistentvolumeclaims", plain(claim("data", storage_class=None)))
    world.put("pods", plain(bound_pod("user", spec=spec)))
    simulation.run()
    claims = world.objects["persistentvolumeclaims"]
    assert claims["default/user-own"]["metadata"]["ownerReferences"][0]["name"] == "user"
    assert {found["status"]["phase"] for found in claims.values()} == {"Bound"}
    world.remove("persistentvolumeclaims", claims["default/data"])
    simulation.run()
    assert "deletionTimestamp" in claims["default/data"]["metadata"]
    world.remove("pods", world.objects["pods"]["default/user"], graceful=False)
    simulation.run()
    assert "default/data" not in claims
