"""Claims as places on a node: what is waited for, what is refused, and who owns the files."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from actors.kubelet.volumes.claims import ClaimNotReady, Claims, Place, check_claim, claim_volumes, place_of
from actors.kubelet.volumes.ownership import give_to_group
from actors.kubelet.volumes.volumes import _prepare_claimed

from .pods import pod

CLAIM = {"metadata": {"name": "data", "uid": "c1"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
NODE = {"metadata": {"name": "w1", "labels": {"kubernetes.io/hostname": "w1"}}}


def volume(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "pv", "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"claimRef": {"uid": "c1"}, **spec}}


def only_on(name: str) -> dict[str, Any]:
    match = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}]
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": match}]}}


def test_which_claims_a_pod_uses() -> None:
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "c", "emptyDir": {}},
    ]
    assert claim_volumes(pod(volumes=volumes)) == {"a": ("data", True), "b": ("p-b", False)}


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (None, "not found"),
        (CLAIM | {"status": {"phase": "Pending"}}, "PVC is not bound"),
        (CLAIM | {"spec": {}}, "PVC is not bound"),
        (CLAIM | {"metadata": {"name": "data", "deletionTimestamp": "x"}}, "PVC is being deleted"),
    ],
)
def test_what_is_waited_for(claim: dict[str, Any] | None, why: str) -> None:
    with pytest.raises(ClaimNotReady, match=why):
        check_claim(pod(), "data", claim)
    assert check_claim(pod(), "data", CLAIM) == "pv"


def test_places() -> None:
    host = volume(hostPath={"path": "/srv", "type": "Directory"})
    assert place_of(CLAIM, host, NODE, True) == Place(Path("/srv"), "Directory", readonly=True)
    local = volume(local={"path": "/mnt/disk"}, nodeAffinity=only_on("w1"))
    assert place_of(CLAIM, local, NODE, False) == Place(Path("/mnt/disk"), "Directory", is_owned=True)
    block = volume(local={"path": "/dev/loop0"}, volumeMode="Block")
    assert place_of(CLAIM, block, NODE, False) == Place(Path("/dev/loop0"), "BlockDevice", is_block=True)
    made = volume({"pv.kubernetes.io/provisioned-by": "kubus.dev/hostpath"}, hostPath={"path": "/d/pv"})
    assert place_of(CLAIM, made, NODE, False) == Place(Path("/d/pv"), is_owned=True, is_made=True)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (volume(claimRef={"uid": "other"}, hostPath={"path": "/x"}), "not bound to this claim"),
        (volume(local={"path": "/x"}, nodeAffinity=only_on("w2")), "NodeAffinity check failed"),
        (volume(volumeMode="Block", csi={"driver": "x"}), "no volume plugin matched for block"),
        (volume(nfs={"server": "x", "path": "/"}), "no volume plugin matched"),
    ],
)
def test_what_is_refused(found: dict[str, Any], why: str) -> None:
    with pytest.raises(ClaimNotReady, match=why):
        place_of(CLAIM, found, NODE, False)


def test_a_provisioned_directory_is_made_open(tmp_path: Path) -> None:
    place = Place(tmp_path / "volumes" / "pvc-1", is_made=True)
    _prepare_claimed(place, None, "Always")
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o777


def test_a_group_owns_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d" / "f").touch(mode=0o600)
    (tmp_path / "link").symlink_to("/etc/passwd")
    group = os.getgid()
    give_to_group(tmp_path, group)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o2770
    assert stat.S_IMODE((tmp_path / "d" / "f").stat().st_mode) == 0o660
    (tmp_path / "d" / "f").chmod(0o600)
    give_to_group(tmp_path, group, "OnRootMismatch")
    assert stat.S_IMODE((tmp_path / "d" / "f").stat().st_mode) == 0o600, "the root is as it shall be: nothing is walked"


def using(name: str, **status: Any) -> dict[str, Any]:
    made = pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "creationTimestamp": f"2026-01-01T00:0{name}Z",
    }
    return made | {"metadata": metadata, "status": status}


class OneVolume:
    async def get(self, kind: str, name: str) -> dict[str, Any]:
        return volume(hostPath={"path": "/srv"})


def test_a_claim_of_one_pod_goes_to_who_had_it_first() -> None:
    """In whichever order a restarted kubelet looks at its pods; and to the next once the first has ended."""
    claim = CLAIM | {"spec": {"volumeName": "pv", "accessModes": ["ReadWriteOncePod"]}}
    early, late = using("1"), using("2", containerStatuses=[{"name": "c", "containerID": "containerd://1"}])
    there = [early, late]
    woken: list[str] = []
    claims = Claims(OneVolume(), lambda *key: claim, lambda: NODE, lambda: there, woken.append)  # type: ignore[arg-type]

    async def scenario() -> None:
        with pytest.raises(ClaimNotReady, match="ReadWriteOncePod access mode and is already in use by another pod"):
            await claims.resolve(early)
        await claims.resolve(late)
        there.remove(late)
        claims.release("uid-2")
        assert woken == ["uid-1"]
        await claims.resolve(early)
        there.append(late)
        await claims.resolve(early)

    asyncio.run(scenario())
    assert claims.place("uid-1", "v") == Place(Path("/srv"))
