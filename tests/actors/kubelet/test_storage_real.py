"""PersistentVolumeClaims on real containerd: provisioned and made by hand, shared, protected, reclaimed."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, eventually

from .test_kubelet_real import await_ready, container, pod, remove, run_in, run_pod

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def node(own_real_cluster: Cluster) -> Cluster:
    return own_real_cluster


def make(node: Cluster, kind: str, name: str, spec: dict[str, Any]) -> None:
    node.apply(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}))


def claim(node: Cluster, name: str, **spec: Any) -> None:
    amount = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    make(node, "PersistentVolumeClaim", name, amount | spec)


def phase(node: Cluster, kind: str, name: str) -> str:
    return str(node.get(kind, name)["status"]["phase"])


def uses(name: str, **source: Any) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name, **source}}


MOUNT = [{"name": "data", "mountPath": "/data"}]


def test_a_claim_just_works_and_its_data_outlives_pods(node: Cluster) -> None:
    claim(node, "work")
    eventually(lambda: phase(node, "pvc", "work") == "Bound", "provisioned and bound", 20)
    bound = node.get("pvc", "work")
    assert bound["spec"]["storageClassName"] == "standard"
    assert bound["status"]["capacity"] == {"storage": "10Mi"}
    directory = node.data_dir / "volumes" / bound["spec"]["volumeName"]
    user = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
    below = [*MOUNT, {"name": "data", "mountPath": "/below", "subPath": "a/b"}]
    run_pod(node, "writes", container(volumeMounts=below), volumes=[uses("work")], securityContext=user)
    await_ready(node, "writes")
    run_in(node, "writes", "echo kept > /data/file; echo deep > /below/file")
    assert (directory / "file").read_text() == "kept\n"
    assert (directory / "a" / "b" / "file").read_text() == "deep\n"
    assert directory.stat().st_gid == 2000
    assert directory.stat().st_mode & stat.S_ISGID
    node.kubectl("delete", "pvc", "work", "--wait=false")
    assert "deletionTimestamp" in node.get("pvc", "work")["metadata"], "in use: kept until the pod is gone"
    remove(node, "writes")
    eventually(lambda: not node.get("pvc")["items"], "the claim is gone", 20)
    eventually(lambda: not node.get("pv")["items"], "and its volume", 20)
    assert not directory.exists()


def test_volumes_made_by_hand_wait_for_their_claim(node: Cluster) -> None:
    directory = node.data_dir / "by-hand"
    directory.mkdir()
    (directory / "there").write_text("before")
    os.chmod(directory, 0o755)
    where = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]}
    shared = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
              "storageClassName": "manual", "local": {"path": str(directory)},
              "nodeAffinity": {"required": {"nodeSelectorTerms": [where]}}}  # fmt: skip
    run_pod(node, "waits", container(volumeMounts=MOUNT), volumes=[uses("late", readOnly=True)], nodeName="w1")
    told = lambda: [e["message"] for e in node.get("events")["items"] if e["reason"] == "FailedMount"]  # noqa: E731
    eventually(lambda: any('"late" not found' in text for text in told()), "users learn why the pod waits", 20)
    claim(node, "late", storageClassName="manual", accessModes=["ReadWriteMany"])
    eventually(lambda: any("PVC is not bound" in text for text in told()), "and now that it is not bound", 20)
    make(node, "PersistentVolume", "by-hand", shared)
    await_ready(node, "waits")
    assert run_in(node, "waits", "cat /data/there") == "before"
    assert "Read-only" in run_in(node, "waits", "touch /data/x 2>&1 || true")
    remove(node, "waits")
    node.kubectl("delete", "pvc", "late")
    eventually(lambda: phase(node, "pv", "by-hand") == "Released", "kept, as its policy says", 20)
    assert (directory / "there").exists()
    node.kubectl("delete", "pv", "by-hand")


@pytest.mark.skipif(not Path("/dev/loop-control").exists(), reason="this machine has no loop devices")
def test_a_block_device_as_a_volume_of_one_pod(node: Cluster, tmp_path: Path) -> None:
    """And while one pod has it, another one on the same node waits for it."""
    (tmp_path / "disk").write_bytes(b"\0" * 1024 * 1024)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(tmp_path / "disk")], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        volume = {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOncePod"], "volumeMode": "Block",
                  "storageClassName": "manual", "hostPath": {"path": device}}  # fmt: skip
        make(node, "PersistentVolume", "disk", volume)
        amount = {"requests": {"storage": "1Mi"}}
        claim(
            node,
            "disk",
            storageClassName="manual",
            accessModes=["ReadWriteOncePod"],
            volumeMode="Block",
            resources=amount,
        )
        inside = [{"name": "data", "devicePath": "/dev/data"}]
        run_pod(node, "first", container(volumeDevices=inside), volumes=[uses("disk")], nodeName="w1")
        await_ready(node, "first")
        run_in(node, "first", "echo written | dd of=/dev/data conv=notrunc,fsync")
        assert Path(device).read_bytes()[:8] == b"written\n"
        run_pod(node, "second", container(volumeDevices=inside), volumes=[uses("disk")], nodeName="w1")
        told = lambda: [e["message"] for e in node.get("events")["items"] if e["reason"] == "FailedMount"]  # noqa: E731
        eventually(lambda: any("already in use by another pod" in text for text in told()), "the second waits", 20)
        remove(node, "first")
        await_ready(node, "second")
        remove(node, "second")
        node.kubectl("delete", "pvc,pv", "disk")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_an_ephemeral_volume_comes_and_goes_with_its_pod(node: Cluster) -> None:
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    scratch = {"name": "data", "ephemeral": {"volumeClaimTemplate": template}}
    run_pod(node, "scratch", container(volumeMounts=MOUNT), volumes=[scratch])
    await_ready(node, "scratch")
    run_in(node, "scratch", "echo x > /data/x")
    assert phase(node, "pvc", "scratch-data") == "Bound"
    assert pod(node, "scratch")["status"]["phase"] == "Running"
    remove(node, "scratch")
    eventually(lambda: not node.get("pvc")["items"], "its claim is collected", 30)


def test_read_only_may_reach_what_is_mounted_inside_a_volume(node: Cluster, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "inner", str(inner)], check=True, timeout=10)
    try:
        modes = {"plain": None, "whole": "Enabled", "possible": "IfPossible"}
        mounts = {
            name: {"name": "v", "mountPath": "/v", "readOnly": True} | ({"recursiveReadOnly": mode} if mode else {})
            for name, mode in modes.items()
        }
        containers = [container(name=name, volumeMounts=[mount]) for name, mount in mounts.items()]
        run_pod(node, "recursive", *containers, volumes=[{"name": "v", "hostPath": {"path": str(tmp_path)}}])
        await_ready(node, "recursive")
        wrote = {name: "yes" in run_in(node, "recursive", "touch /v/inner/x && echo yes; true", name) for name in modes}
        assert wrote == {"plain": True, "whole": False, "possible": False}
        said = pod(node, "recursive")["status"]["containerStatuses"]
        assert {item["name"]: item["volumeMounts"][0]["recursiveReadOnly"] for item in said} == {
            "plain": "Disabled", "whole": "Enabled", "possible": "Enabled",
        }  # fmt: skip
        remove(node, "recursive")
    finally:
        subprocess.run(["umount", str(inner)], check=True, timeout=10)
