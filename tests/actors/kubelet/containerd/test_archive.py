"""Image archives: the same bytes every time, readable as OCI layout and as Docker archive; the pause program."""

import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile

import pytest

from actors.kubelet.containerd import archive, machine
from actors.kubelet.containerd.archive import ArchiveError, File, ImageDescription, build, pause_image, toolbox_image


def contents(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


@pytest.fixture
def described() -> ImageDescription:
    files = {"bin/x": File(b"program"), "bin/y": File(link="x"), "etc/z": File(b"text", mode=0o644), "tmp": File()}
    return ImageDescription("kubus.local/x:1", "x86_64", files, entrypoint=("/bin/x",), env=("A=b",))


def test_equal_content_gives_equal_bytes(described):
    shuffled = ImageDescription(
        described.name, described.machine, dict(reversed(described.files.items())), described.entrypoint, env=("A=b",)
    )
    assert build(described) == build(shuffled)


def test_every_descriptor_of_the_layout_names_a_blob_of_its_digest_and_size(described):
    files = contents(build(described))
    index = json.loads(files["index.json"])
    descriptor = index["manifests"][0]
    assert descriptor["annotations"]["io.containerd.image.name"] == "kubus.local/x:1"
    manifest = json.loads(files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")])
    for item in (descriptor, manifest["config"], *manifest["layers"]):
        blob = files["blobs/sha256/" + item["digest"].removeprefix("sha256:")]
        assert hashlib.sha256(blob).hexdigest() == item["digest"].removeprefix("sha256:")
        assert len(blob) == item["size"]


def test_it_is_a_docker_archive_too(described):
    files = contents(build(described))
    saved = json.loads(files["manifest.json"])[0]
    assert saved["RepoTags"] == ["kubus.local/x:1"]
    config = json.loads(files[saved["Config"]])
    layer = files[saved["Layers"][0]]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    assert config["config"] == {"Env": ["A=b"], "WorkingDir": "/", "Entrypoint": ["/bin/x"]}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = {member.name: member for member in tar}
    assert list(members) == sorted(members)
    assert members["bin"].isdir()
    assert members["bin/y"].linkname == "x"
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}


def test_the_toolbox_has_a_link_for_each_applet():
    image = toolbox_image("x86_64", b"ELF", ["sh", "httpd", "busybox", "../evil", ""])
    assert {name for name in image.files if name.startswith("bin/")} == {"bin/busybox", "bin/sh", "bin/httpd"}
    assert image.files["bin/sh"].link == "busybox"
    assert image.files["tmp"].mode == 0o1777


def test_pause_on_another_machine_is_a_busybox():
    assert pause_image("aarch64", b"ELF").entrypoint[0] == "/bin/sh"
    with pytest.raises(ArchiveError, match="aarch64"):
        pause_image("aarch64", None)


def test_a_static_program_is_told_from_a_dynamic_one():
    assert machine.is_static(archive.pause_program())
    assert not machine.is_static(b"#!/bin/sh\n")
    assert not machine.is_static(b"")


on_x86_64_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="runs machine code for x86-64 Linux"
)


@on_x86_64_linux
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_pause_waits_and_ends_at_once_when_told(tmp_path, end):
    path = tmp_path / "pause"
    path.write_bytes(archive.pause_program())
    path.chmod(0o755)
    process = subprocess.Popen([path])
    try:
        process.send_signal(signal.SIGCHLD)  # must not end it
        process.send_signal(signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(end)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


@on_x86_64_linux
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root for a process namespace")
def test_pause_as_process_1_reaps_and_ends(tmp_path):
    path = tmp_path / "pause"
    path.write_bytes(archive.pause_program())
    path.chmod(0o755)
    # The shell leaves an orphan, then becomes pause; the orphan ends and must not stay as a zombie.
    script = f"(sleep 0.05 &) ; exec {path}"
    process = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.4)
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        with open(children) as listed:
            pid = int(listed.read().split()[0])
        with open(f"/proc/{pid}/task/{pid}/children") as listed:
            assert listed.read().split() == []
        os.kill(pid, signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
