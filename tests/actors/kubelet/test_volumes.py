"""Files of volumes: content, atomic change, modes, sub-paths that try to escape."""

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actors.kubelet.places import Places
from actors.kubelet.surroundings.downward import ConfigError
from actors.kubelet.surroundings.environment import Surroundings
from actors.kubelet.volumes import atomic, content, mounting
from actors.kubelet.volumes.content import File
from actors.kubelet.volumes.volumes import Volumes, huge_page_bytes, memory_bound
from tests.real_tier import need_real

from .pods import container, pod

BEFORE = Path.cwd()
CONFIG = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="}}
SECRET = {"metadata": {"name": "s", "namespace": "default"}, "data": {"pw": base64.b64encode(b"hush").decode()}}
OBJECTS = {("configmaps", "cm"): CONFIG, ("secrets", "s"): SECRET}
AROUND = Surroundings(lookup=lambda kind, name: OBJECTS.get((kind, name)))


def files(volume: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
    made = content.payload(pod(), {"name": "v", **volume}, AROUND, lambda source: f"token-{source.get('audience')}")
    return {name: (file.data, file.mode) for name, file in made.items()}


def test_config_maps_and_secrets() -> None:
    assert files({"configMap": {"name": "cm"}}) == {"a": (b"1", 0o644), "b": (b"2", 0o644), "c": (b"\0\1", 0o644)}
    items = [{"key": "pw", "path": "deep/er", "mode": 0o400}]
    assert files({"secret": {"secretName": "s", "items": items}}) == {"deep/er": (b"hush", 0o400)}
    assert files({"secret": {"secretName": "s", "defaultMode": 0o600}}) == {"pw": (b"hush", 0o600)}
    closed = [{"key": "pw", "path": "pw", "mode": 0}]
    assert files({"secret": {"secretName": "s", "items": closed}}) == {"pw": (b"hush", 0)}
    field = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}, "mode": 0}]
    assert files({"downwardAPI": {"items": field}}) == {"name": (b"p", 0)}


def test_what_is_missing() -> None:
    assert files({"configMap": {"name": "no", "optional": True}}) == {}
    with pytest.raises(ConfigError, match='configmap "no" not found'):
        files({"configMap": {"name": "no"}})
    with pytest.raises(ConfigError, match="references non-existent secret key: k"):
        files({"secret": {"secretName": "s", "items": [{"key": "k", "path": "k"}]}})


def test_projected() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "audience": "x"}},
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    made = files({"projected": {"sources": sources, "defaultMode": 0o640}})
    assert {name: data for name, (data, _) in made.items()} == {"token": b"token-x", "ca.crt": b"1", "ns": b"default"}
    assert {mode for _, mode in made.values()} == {0o640}


@pytest.mark.parametrize(
    ("spec", "mode", "owner"),
    [
        ({}, 0o644, None),
        ({"securityContext": {"fsGroup": 5}}, 0o600, None),
        ({"securityContext": {"runAsUser": 1000}}, 0o600, 1000),
        ({"securityContext": {"runAsUser": 1000, "fsGroup": 5}}, 0o600, 1000),
        ({"containers": [container(securityContext={"runAsUser": 7}), container("b")]}, 0o644, None),
        ({"containers": [container(securityContext={"runAsUser": 7})], "securityContext": {"runAsUser": 8}}, 0o600, 7),
    ],
)
def test_who_may_read_a_token(spec: dict[str, Any], mode: int, owner: int | None) -> None:
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}], "defaultMode": 0o644}}
    made = pod(**spec)
    (file,) = content.payload(made, volume, AROUND, lambda source: "x").values()
    assert (file.mode, file.owner) == (mode, owner)


@pytest.mark.parametrize("kind", ["clusterTrustBundle", "podCertificate"])
def test_what_nobody_can_project_is_refused_in_words(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"projected volume source {kind} is not supported"):
        files({"projected": {"sources": [{kind: {"path": "p"}}]}})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="gives a file to another user")
def test_a_file_has_its_owner_and_its_group(tmp_path: Path) -> None:
    wanted = {"token": File(b"x", 0o600, 1000)}
    assert atomic.write(tmp_path, wanted, 5)
    found = (tmp_path / "token").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1000, 5, 0o640)
    assert not atomic.write(tmp_path, wanted, 5)
    assert atomic.write(tmp_path, {"token": File(b"x", 0o600, 1001)}, 5), "another owner is a change"


def test_references() -> None:
    volumes = [
        {"name": "a", "secret": {"secretName": "s"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "cm"}}, {"secret": {"name": "t"}}]}},
        {"name": "c", "emptyDir": {}},
    ]
    assert content.references(pod(volumes=volumes)) == {("secrets", "s"), ("configmaps", "cm"), ("secrets", "t")}


def visible(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith(".."):
            continue
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                found[str(file.relative_to(root))] = file.read_text()
    return found


def test_a_change_is_seen_whole(tmp_path: Path) -> None:
    first = {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)}
    assert atomic.write(tmp_path, first)
    assert visible(tmp_path) == {"a": "1", "d/b": "2"}
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o600
    assert os.readlink(tmp_path / "a") == "..data/a"
    before = (tmp_path / "..data").resolve()
    assert not atomic.write(tmp_path, first)
    held = (tmp_path / "a").open()
    assert atomic.write(tmp_path, {"a": File(b"new", 0o644), "c": File(b"3", 0o644)})
    assert held.read() == "1"
    held.close()
    assert visible(tmp_path) == {"a": "new", "c": "3"}
    assert not before.exists()
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("..")]) == 2


def test_a_changed_mode_is_a_change(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    assert atomic.write(tmp_path, {"a": File(b"1", 0o400)})
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o400


def test_what_a_crash_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "..2020_01_01.x").mkdir()
    (tmp_path / "..data_tmp").symlink_to("..2020_01_01.x")
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    assert visible(tmp_path) == {"a": "1"}
    assert not (tmp_path / "..2020_01_01.x").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..data", "..x/y"])
def test_paths_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no path inside"):
        atomic.write(tmp_path, {name: File(b"", 0o644)})


def test_sub_paths_stay_inside(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "in").mkdir(parents=True)
    (volume / "link").symlink_to("in")
    (volume / "out").symlink_to("/etc")
    for good in ("in", "link", "in/new/er"):
        os.close(mounting._open_below(volume, good))
    assert (volume / "in/new/er").is_dir()
    for bad in ("out", "out/passwd", "..", "in/../../x"):
        with pytest.raises(OSError, match="leads out|link"):
            mounting._open_below(volume, bad)


def test_what_a_container_left_in_a_file_is_read_from_inside_the_volume_only(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "in").mkdir(parents=True)
    (volume / "in/file").write_bytes(b"12345")
    (tmp_path / "secret").write_text("of the node")
    for name, target in {"link": "in/file", "out": "../secret", "away": "/etc/passwd", "loop": "loop"}.items():
        (volume / name).symlink_to(target)
    os.mkfifo(volume / "pipe")
    for good in ("in/file", "link"):
        assert mounting.read_below(volume, good, 5) == b"12345"
    with pytest.raises(FileNotFoundError):
        mounting.read_below(volume, "new/file", 5)
    assert not (volume / "new").exists()
    refused = {
        "out": "leads out", "away": "leads out", "loop": "link", "pipe": "regular", "in": "regular", "a\0b": "NUL",
    }  # fmt: skip
    for bad, why in refused.items():
        with pytest.raises(OSError, match=why):
            mounting.read_below(volume, bad, 5)
    with pytest.raises(OSError, match="larger than 4 bytes"):
        mounting.read_below(volume, "in/file", 4)


def test_a_file_of_variables(tmp_path: Path) -> None:
    volumes = Volumes(Places(tmp_path), lambda uid, name: None, None)
    made = pod(volumes=[{"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/etc"}}])
    place = volumes.path(made, made["spec"]["volumes"][0])
    place.mkdir(parents=True)
    assert volumes.env_file(made, "v", "a.env") is None
    (place / "a.env").write_text("A='1'")
    assert volumes.env_file(made, "v", "a.env") == b"A='1'"
    (place / "a.env").write_bytes(b"#" * (64 * 1024 + 1))
    with pytest.raises(ConfigError, match='can\'t read env file "a.env" of volume "v": .* is larger than 65536 bytes'):
        volumes.env_file(made, "v", "a.env")
    with pytest.raises(ConfigError, match='volume "h" of env file "passwd" is not an emptyDir of the pod'):
        volumes.env_file(made, "h", "passwd")


def test_how_large_a_volume_in_memory_may_grow() -> None:
    node = Surroundings(lookup=AROUND.lookup, allocatable={"memory": "8Gi"})
    limited = pod(container(resources={"limits": {"memory": "1Gi"}}))
    half = pod(container(resources={"limits": {"memory": "1Gi"}}), container("side"))
    assert memory_bound(limited, 1 << 20, node) == 1 << 20
    assert memory_bound(limited, 2 << 30, node) == 1 << 30
    assert memory_bound(half, 0, node) == 8 << 30, "one container has no limit, so the pod has none"
    assert memory_bound(pod(), 0, AROUND) == 0


def wants_huge_pages(*sizes: str) -> dict[str, Any]:
    return pod(container(resources={"requests": {f"hugepages-{size}": "4Mi" for size in sizes}}))


def test_which_huge_pages_a_medium_means() -> None:
    assert huge_page_bytes("HugePages", wants_huge_pages("2Mi")) == 2 << 20
    assert huge_page_bytes("HugePages-1Gi", wants_huge_pages("2Mi", "1Gi")) == 1 << 30
    with pytest.raises(ConfigError, match="several sizes"):
        huge_page_bytes("HugePages", wants_huge_pages("2Mi", "1Gi"))
    for made in (pod(), wants_huge_pages("1Gi")):
        with pytest.raises(ConfigError, match="no huge pages"):
            huge_page_bytes("HugePages-2Mi", made)


@pytest.mark.real
@pytest.mark.skipif(not Path("/sys/kernel/mm/hugepages/hugepages-2048kB").exists(), reason="no huge pages of 2 MiB")
def test_huge_pages_are_mounted(tmp_path: Path) -> None:
    need_real()
    for _ in range(2):
        mounting.mount_huge_pages(tmp_path, 2 << 20, 4 << 20)
    try:
        assert os.statvfs(tmp_path).f_bsize == 2 << 20
        assert mounting.mount_points(tmp_path) == [tmp_path]
    finally:
        mounting.unmount(tmp_path)


@pytest.mark.real
def test_layers_are_read_from_the_uppermost_down_and_nothing_else(tmp_path: Path) -> None:
    need_real()
    for layer, text in (("upper", "new"), ("lower", "old")):
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "file").write_text(text)
    (tmp_path / "lower" / "below").write_text("#!/bin/sh\n")
    (tmp_path / "lower" / "below").chmod(0o755)
    for layers, text in ((("upper", "lower"), "new"), (("lower",), "old")):
        target = tmp_path / "target"
        target.mkdir(exist_ok=True)
        mounting.mount_layers([str(tmp_path / layer) for layer in layers], target)
        try:
            assert (target / "file").read_text() == text
            with pytest.raises(PermissionError):
                subprocess.run([str(target / "below")], check=True, timeout=10)
            with pytest.raises(OSError, match="Read-only"):
                (target / "more").touch()
        finally:
            mounting.unmount(target)
    assert Path.cwd() == BEFORE, "the working directory is the process's own"
