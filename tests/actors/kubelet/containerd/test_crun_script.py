"""The script that runs crun, with a program in crun's place that shows what it was given."""

import json
import stat
import subprocess
from pathlib import Path

import pytest

from actors.kubelet.containerd.crun_script import Wants, script_of, write_script
from actors.kubelet.containerd.machine import find_busybox
from actors.kubelet.containerd.places import places_of

PASSWD = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n"
TRICKY = 'FOO=a,"HOME=/trick","cwd":"/","env":["'  # what a user may write, in JSON with backslashes


class World:
    """A containerd's folder with one bundle, and a program that prints its words and what it is to run."""

    def __init__(self, folder: Path, wants: Wants):
        self.places = places_of(folder / "the data", "w1")
        self.bundle = self.places.bundles / "c1"
        (self.bundle / "rootfs" / "etc").mkdir(parents=True)
        shown = folder / "a crun"
        shown.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
        shown.chmod(0o755)
        busybox = find_busybox()
        if busybox is None:
            pytest.skip("there is no static busybox")
        write_script(self.places.crun_script, script_of(wants, str(shown), str(busybox), self.places))

    def run(self, *words: str) -> list[str]:
        done = subprocess.run([self.places.crun_script, *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.splitlines()

    def create(self, specification: dict) -> dict:
        """Return the specification as crun finds it."""
        path = self.bundle / "config.json"
        path.write_text(json.dumps(specification, separators=(",", ":")))
        words = ["--root", "/r", "create", "--bundle", str(self.bundle), "--pid-file", "/p", "c1"]
        assert self.run(*words) == words
        return json.loads(path.read_text())

    def exec(self, process: dict) -> dict:
        path = self.places.home / "process.json"
        path.write_text(json.dumps(process, separators=(",", ":")))
        words = ["--root", "/r", "exec", "--process", str(path), "--detach", "c1"]
        assert self.run(*words) == words
        return json.loads(path.read_text())


def process(uid: int, *env: str) -> dict:
    user = {"uid": uid, "gid": 0, "additionalGids": [4000]}
    return {"user": user, "args": ["sh", "HOME=/of-args", TRICKY], "env": list(env), "cwd": "/"}


def specification(uid: int, *env: str, shm: str = "/elsewhere/shm") -> dict:
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
        {"destination": "/dev/shm", "type": "bind", "source": shm, "options": ["rbind", "rprivate", "rw"]},
        {"destination": "/v", "type": "bind", "source": f"{shm}/v", "options": ["rbind"]},
    ]
    root = {"path": "rootfs"}
    return {"ociVersion": "1.0.2", "process": process(uid, *env), "root": root, "mounts": mounts, "linux": {}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, Wants(keep_flags=True, set_home=True))
    (made.bundle / "rootfs" / "etc" / "passwd").write_text(PASSWD)
    return made


@pytest.mark.parametrize(
    ("uid", "env", "added"),
    [
        (1000, ("A=1",), ["HOME=/"]),
        (1000, (TRICKY,), ["HOME=/"]),
        (1000, ("A=1", "HOME=/mine"), []),
        (1000, ("HOME=/mine",), []),
        (0, ("A=1",), []),
        (65534, ("A=1",), []),
        (6553, ("A=1",), ["HOME=/"]),
    ],
)
def test_who_has_no_home_gets_one(world, uid, env, added):
    given = specification(uid, *env)
    found = world.create(given)
    assert found["process"].pop("env") == [*added, *env]
    assert given["process"].pop("env") == list(env)
    assert found == given, "nothing else was changed"
    process_found = world.exec(process(uid, *env))
    assert process_found == {**process(uid, *env), "env": [*added, *env]}, "and so do commands in it"


def test_an_environment_that_was_left_out(world):
    given = specification(1000)
    del given["process"]["env"]
    assert world.create(given)["process"]["env"] == ["HOME=/"]


def test_an_image_without_users_is_left_to_crun(world):
    (world.bundle / "rootfs" / "etc" / "passwd").unlink()
    assert world.create(specification(1000, "A=1"))["process"]["env"] == ["A=1"]


@pytest.mark.parametrize("linked", ["etc", "etc/passwd"])
def test_no_link_is_followed_out_of_an_image(world, linked, tmp_path):
    path = world.bundle / "rootfs" / linked
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert world.create(specification(1000, "A=1"))["process"]["env"] == ["A=1"]


def test_only_containerds_own_shared_memory_is_told_of_its_flags(world):
    own = specification(0, "A=1", shm=f"{world.places.state}/sandboxes/s1/shm")
    options = [mount["options"] for mount in world.create(own)["mounts"]]
    assert options == [["nosuid"], ["nosuid", "nodev", "noexec", "rbind", "rprivate", "rw"], ["rbind"]]
    foreign = specification(0, "A=1")
    assert world.create(foreign) == foreign


def test_only_what_is_wanted_is_done(tmp_path):
    world = World(tmp_path, Wants(keep_flags=True))
    (world.bundle / "rootfs" / "etc" / "passwd").write_text(PASSWD)
    given = specification(1000, "A=1", shm=f"{world.places.state}/s")
    assert world.create(given)["process"] == given["process"]
    assert world.exec(process(1000, "A=1")) == process(1000, "A=1")


def test_nothing_is_edited_for_a_sandbox(world):
    (world.places.sandboxes / "c1").mkdir(parents=True)
    given = specification(1000, "A=1", shm=f"{world.places.state}/s")
    assert world.create(given) == given


def test_crun_is_run_from_where_nobody_can_write_while_that_is_there(world):
    world.places.crun_readonly.touch()
    assert world.run("start", "c1") == ["start", "c1"]
    world.places.crun_readonly.write_text("#!/bin/sh\necho read-only\n")
    world.places.crun_readonly.chmod(0o755)
    assert world.run("start", "c1") == ["read-only"]


@pytest.mark.parametrize("words", [("start", "c1"), ("delete", "--force", "c1"), ("kill", "--all", "c1", "9")])
def test_other_commands_are_run_as_they_are(world, words):
    assert world.run("--root", "/r", *words) == ["--root", "/r", *words]


@pytest.mark.parametrize("shared", [False, True])
def test_the_hierarchy_is_hidden_where_a_container_is_made(shared):
    wants = Wants(hide_unified=True, is_shared=shared)
    text = script_of(wants, "/usr/bin/crun", "/bin/busybox", places_of(Path("/data"), "w1"))
    assert "/bin/busybox mount -t tmpfs -o mode=755 none /sys/fs/cgroup/unified || exit 1" in text
    assert ("mount --make-private /sys/fs/cgroup/unified && /bin/busybox mount" in text) is shared
    assert '*" create "* | *" run "*)\n  if [ -z "$IN_OWN_MOUNTS" ]; then\n    IN_OWN_MOUNTS=1 exec unshare' in text


def test_the_script_can_be_run(world):
    assert stat.S_IMODE(world.places.crun_script.stat().st_mode) == 0o755
