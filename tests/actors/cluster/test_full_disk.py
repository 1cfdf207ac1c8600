"""A disk that is full: each command that writes says which one, and what helps, whatever it was writing."""

import os
import subprocess

import pytest

from tests.actors.cluster.test_cli import Kubus


@pytest.fixture
def kubus(tmp_path):
    """A command line whose data directory is on a disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "kubus-tests", disk], check=True)
    try:
        cluster = Kubus(tmp_path)
        cluster.env["KUBUS_DATA_DIR"] = str(disk / "data")
        yield cluster
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(disk, left=0):
    """Leave so many pages of 4 KiB free."""
    with open(disk / "filler", "wb", buffering=0) as filler:
        while (free := os.statvfs(disk).f_bavail - left) > 0:
            filler.write(b"x" * 4096 * free)


@pytest.mark.real
@pytest.mark.parametrize("left", [0, 3, 6])
@pytest.mark.parametrize("how", [[], ["--detach"]], ids=["here", "detached"])
def test_up_says_whose_disk_is_full(kubus, tmp_path, left, how):
    fill(tmp_path / "disk", left)
    failed = kubus.run("up", "--config", str(kubus.config), *how, check=1)
    assert f"no room is left on the disk of {tmp_path}/disk/data (0." in failed.stderr
    assert failed.stderr.strip().endswith("make some there, or name another --data-dir"), failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.real
def test_what_is_printed_into_a_full_disk_is_told_of(kubus, tmp_path):
    (tmp_path / "disk" / "data").mkdir()
    (tmp_path / "disk" / "data" / "kubeconfig").write_text("x" * 8192)
    fill(tmp_path / "disk")
    with open(tmp_path / "disk" / "out", "w") as out:
        failed = subprocess.run(
            kubus.command("kubeconfig"), env=kubus.env, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (failed.returncode, failed.stderr) == (1, "kubus: no room is left where its output goes\n")
