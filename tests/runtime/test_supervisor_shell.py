"""The supervisor with real processes: kills seen at once, nothing left behind, a status that tells the truth."""

import asyncio
import errno
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from bus import Client, RemoteError, ipc_endpoint
from runtime.supervisor import journal, process, records
from runtime.supervisor.datadir import DataDir, DataDirError, DataDirInUse, holder
from runtime.supervisor.messages import KillRequest, RestartRequest, StatusRequest, StopRequest
from runtime.supervisor.rundir import find, prepare
from runtime.supervisor.shell import Cluster, Supervisor
from runtime.supervisor.spec import ActorLaunch, ChildSpec, CommandLaunch, RestartPolicy

ACTORS = """
import asyncio
from runtime.actor import Actor

class Quiet(Actor):
    pass

class Leader(Actor):
    def inspect(self):
        return {"leader": True}

class Broken(Actor):
    async def start(self):
        raise RuntimeError("broken on purpose")

class Stuck(Actor):
    async def stop(self):
        while True:
            pass
"""
LISTENER = "import socket,sys,time; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(600)"


def actor(name, kind="Quiet", *after, **more):
    return ChildSpec(name, name.partition("@")[0], "n", ActorLaunch(f"tiny_supervised:{kind}"), after, **more)


class Running:
    """A supervisor in this test's loop, and a client of its desk."""

    def __init__(self, data_dir: Path, specs, policy=None):
        self.run_dir = prepare(data_dir, [spec.name for spec in specs])
        names = [spec.name for spec in specs]
        cluster = Cluster(data_dir, self.run_dir, names, preload=("runtime.actor",))
        self.heard = []
        self.supervisor = Supervisor(cluster, specs, policy=policy, observer=self.heard.append)
        self.task = asyncio.get_running_loop().create_task(self.supervisor.run())
        self.client = Client("cli@test")

    async def ask(self, request):
        return await self.client.request(ipc_endpoint(self.run_dir, "supervisor", "control"), request)

    async def status(self):
        answer = await self.ask(StatusRequest())
        return {row.name: row for row in answer.actors}

    async def until(self, healths, within_s=20.0):
        async with asyncio.timeout(within_s):
            while {name: child.health for name, child in self.supervisor.core.children.items()} != healths:
                assert not self.task.done(), self.task.result()
                await asyncio.sleep(0.005)

    def pid(self, name):
        return self.supervisor.core.children[name].pid


@pytest.fixture
def play(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tiny_supervised.py").write_text(ACTORS)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    data_dir = tmp_path / "data"
    (data_dir / "logs").mkdir(parents=True)

    def run(scenario, *specs, policy=None):
        async def main():
            running = Running(data_dir, list(specs), policy)
            try:
                await scenario(running)
            finally:
                pids = [(child.pid, child.started) for child in running.supervisor.records.all()]
                running.supervisor.stop()
                await asyncio.wait_for(running.task, 30)
                running.client.close()
                assert all(process.start_time(pid) != started for pid, started in pids)

        asyncio.run(main())

    return run


def test_a_kill_is_seen_at_once_and_the_status_agrees_with_the_system(play):
    async def scenario(running):
        await running.until({"a@n": "serving", "b@n": "serving"})
        before = await running.status()
        assert before["b@n"].leader is True
        assert before["a@n"].leader is None
        assert before["a@n"].pss_mb > 0
        assert Path(f"/proc/{before['a@n'].pid}/cmdline").read_bytes().rstrip(b"\0") == b"kubus: a@n"
        begun = time.monotonic()
        assert (await running.ask(KillRequest("a@n"))).pid == before["a@n"].pid
        async with asyncio.timeout(10):
            while running.pid("a@n") in (0, before["a@n"].pid):
                await asyncio.sleep(0.001)
        await running.until({"a@n": "serving", "b@n": "serving"})
        assert time.monotonic() - begun < 5.0
        after = await running.status()
        assert after["a@n"].restarts == 1
        assert after["a@n"].pid != before["a@n"].pid
        assert after["b@n"].pid == before["b@n"].pid

    play(scenario, actor("a@n"), actor("b@n", "Leader", "a@n"))


def test_a_killed_child_comes_back_while_the_disk_is_full(play, monkeypatch):
    def no_room(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def scenario(running):
        await running.until({"a@n": "serving"})
        pid = running.pid("a@n")
        monkeypatch.setattr(records.os, "replace", no_room)
        monkeypatch.setattr(journal.os, "write", no_room)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while running.pid("a@n") in (0, pid):
                await asyncio.sleep(0.005)
        monkeypatch.undo()
        await running.until({"a@n": "serving"})

    play(scenario, actor("a@n"))


def test_all_children_come_back_when_the_warm_parent_is_killed(play):
    async def scenario(running):
        serving = {"a@n": "serving", "c@n": "serving"}
        await running.until(serving)
        before = await running.status()
        os.kill(running.supervisor.link.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while {running.pid("a@n"), running.pid("c@n")} & {0, before["a@n"].pid, before["c@n"].pid}:
                await asyncio.sleep(0.005)
        await running.until(serving)
        assert {row.restarts for row in (await running.status()).values()} == {1}

    play(scenario, actor("a@n"), ChildSpec("c@n", "c", "n", CommandLaunch(["sleep", "600"])))


def test_a_foreign_program_serves_when_its_socket_accepts(play, tmp_path):
    path = str(tmp_path / "s.sock")

    async def scenario(running):
        await running.until({"c@n": "serving"})
        assert Path(path).is_socket()

    play(scenario, ChildSpec("c@n", "c", "n", CommandLaunch(["python3", "-c", LISTENER, path], socket=path)))


def test_a_child_that_always_breaks_is_marked_failed_and_does_not_disturb_the_rest(play):
    async def scenario(running):
        await running.until({"a@n": "serving", "bad@n": "failed"})
        row = (await running.status())["bad@n"]
        assert (row.restarts, row.pid) == (3, 0)
        assert "exit code 70" in row.reason

    policy = RestartPolicy(intensity=2, first_backoff_s=0.01)
    play(scenario, actor("a@n"), actor("bad@n", "Broken"), policy=policy)


def test_a_restart_is_orderly_and_unknown_names_are_refused(play):
    async def scenario(running):
        await running.until({"a@n": "serving"})
        pid = running.pid("a@n")
        await running.ask(RestartRequest("a@n"))
        async with asyncio.timeout(10):
            while running.pid("a@n") in (0, pid):
                await asyncio.sleep(0.005)
        with pytest.raises(RemoteError, match="no z@n here") as refusal:
            await running.ask(KillRequest("z@n"))
        assert refusal.value.kind == "no_such_child"

    play(scenario, actor("a@n"))


def test_a_stuck_child_is_killed_at_the_deadline_of_the_stop(play):
    async def scenario(running):
        await running.until({"a@n": "serving"})
        await running.ask(StopRequest())
        await asyncio.wait_for(asyncio.shield(running.task), 10)
        assert [said.what for said in running.heard if said.name == "a@n"][-3:] == ["stopping", "killed", "stopped"]

    play(scenario, actor("a@n", "Stuck", stop_deadline_s=0.5))


def test_what_a_dead_supervisor_left_is_ended_by_the_next(play, tmp_path):
    import subprocess

    left = subprocess.Popen(["sleep", "600"])
    from runtime.supervisor.records import Recorder

    Recorder(tmp_path / "data").add("containerd@n", left.pid)

    async def scenario(running):
        await running.until({"a@n": "serving"})
        assert left.wait(5) == -signal.SIGKILL

    play(scenario, actor("a@n"))


def test_a_data_dir_has_one_user(tmp_path):
    first = DataDir(tmp_path / "d")
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    with pytest.raises(DataDirInUse, match=f"in use by another Kubus .pid {os.getpid()}"):
        DataDir(tmp_path / "d")
    assert holder(tmp_path / "d") == os.getpid()
    first.close()
    assert holder(tmp_path / "d") == 0
    DataDir(tmp_path / "d").close()


def test_a_directory_of_somebody_else_is_not_taken_for_a_data_dir(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataDirError, match="neither empty nor"):
        DataDir(tmp_path)
    with pytest.raises(DataDirError, match="Not a directory"):
        DataDir(tmp_path / "thesis.txt" / "d")


def test_sockets_move_to_a_short_directory_when_paths_would_be_too_long(tmp_path, monkeypatch):
    names = ["controller-manager@m1"]
    with tempfile.TemporaryDirectory(prefix="d") as made:
        short = Path(made)
        assert prepare(short, names) == find(short) == short / "run"
    long = tmp_path / ("d" * 90)
    long.mkdir()
    run_dir = prepare(long, names)
    try:
        assert find(long) == run_dir != long / "run"
        assert run_dir.stat().st_mode & 0o777 == 0o700
        assert len(f"{run_dir}/controller-manager@m1.control") <= 107
        assert prepare(long, names) == run_dir
    finally:
        run_dir.rmdir()
