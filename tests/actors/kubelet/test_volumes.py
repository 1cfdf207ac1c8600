"""Files of volumes: content, atomic change, modes, sub-paths that try to escape."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from actors.kubelet.downward import ConfigError
from actors.kubelet.environment import Surroundings
from actors.kubelet.volumes import atomic, content, mounting
from actors.kubelet.volumes.content import File

from .pods import pod

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
