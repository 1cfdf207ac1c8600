"""The warm parent for real: forks, execs, exits reported, nothing left behind."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from runtime.warm.link import WarmLink
from runtime.warm.messages import Exited, Forked, Ready, StartActor, StartCommand

ACTOR = """
from runtime.actor import Actor

class Quiet(Actor):
    pass

class Broken(Actor):
    async def start(self):
        raise RuntimeError("broken on purpose")
"""


class World:
    """A warm parent, and what it said."""

    def __init__(self, directory: Path, preload: tuple[str, ...]):
        self.directory = directory
        self.heard: asyncio.Queue = asyncio.Queue()
        self.lost: asyncio.Future = asyncio.get_running_loop().create_future()
        self.link = WarmLink(directory / "warm.log", preload)

    async def begin(self) -> None:
        await self.link.attach(self.heard.put_nowait, lambda link, reason: self.lost.set_result(reason))
        assert isinstance(await self.next(), Ready)

    async def next(self):
        return await asyncio.wait_for(self.heard.get(), 20)

    async def command(self, name: str, *argv: str, **env: str) -> Forked:
        log = str(self.directory / f"{name}.log")
        self.link.send(StartCommand(name, 1, list(argv), {"PATH": os.environ["PATH"], **env}, "/", log))
        return await self.next()

    async def actor(self, name: str, target: str) -> Forked:
        setup = {
            "name": name, "role": "test", "node": "n", "settings": {}, "data_dir": str(self.directory),
            "run_dir": str(self.directory), "actors": [name],
        }  # fmt: skip
        self.link.send(StartActor(name, 1, target, setup, str(self.directory / f"{name}.log")))
        return await self.next()

    def log(self, name: str) -> str:
        path = self.directory / f"{name}.log"
        return path.read_text() if path.exists() else ""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int, within_s: float = 10.0) -> bool:
    until = time.monotonic() + within_s
    while alive(pid):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    return True


async def until_title(pid: int, title: str) -> None:
    async with asyncio.timeout(10):
        while Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode() != title:
            await asyncio.sleep(0.01)


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Run a scenario with a warm parent; close it afterwards whatever happens."""
    (tmp_path / "tiny_actors.py").write_text(ACTOR)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(scenario, *preload: str):
        async def main():
            world = World(tmp_path, preload)
            try:
                await world.begin()
                await scenario(world)
            finally:
                await world.link.close()

        asyncio.run(main())

    return run


def test_a_command_runs_with_its_log_and_its_exit_is_reported(play):
    async def scenario(world):
        forked = await world.command("echo@n", "sh", "-c", "echo said $WORD; exit 3", WORD="it")
        ended = await world.next()
        assert ended == Exited("echo@n", forked.pid, 3, 0)
        assert world.log("echo@n") == "said it\n"
        assert {path.stat().st_mode & 0o777 for path in world.directory.glob("*.log")} == {0o600}

    play(scenario)


def test_a_command_that_is_not_there_says_so_in_its_log(play):
    async def scenario(world):
        await world.command("none@n", "/no/such/program")
        ended = await world.next()
        assert ended.code == 127
        assert "/no/such/program: No such file" in world.log("none@n")

    play(scenario)


def test_a_killed_command_is_reported_with_its_signal(play):
    async def scenario(world):
        forked = await world.command("sleep@n", "sleep", "60")
        os.kill(forked.pid, signal.SIGKILL)
        assert await world.next() == Exited("sleep@n", forked.pid, -9, 9)

    play(scenario)


def test_a_command_gets_no_descriptors_but_the_three(play):
    async def scenario(world):
        listing = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
        await world.command("fds@n", sys.executable, "-c", listing)
        await world.next()
        assert world.log("fds@n") == "[0, 1, 2]\n"

    play(scenario)


def test_an_actor_has_its_own_title_and_session_and_ends_in_order(play):
    async def scenario(world):
        forked = await world.actor("quiet@n", "tiny_actors:Quiet")
        await until_title(forked.pid, "kubus: quiet@n")
        assert os.getsid(forked.pid) == forked.pid
        async with asyncio.timeout(20):
            while "serving" not in world.log("quiet@n"):
                await asyncio.sleep(0.01)
        os.kill(forked.pid, signal.SIGTERM)
        assert await world.next() == Exited("quiet@n", forked.pid, 0, 0)

    play(scenario)


def test_an_actor_that_cannot_start_or_import_tells_its_log(play):
    async def scenario(world):
        await world.actor("broken@n", "tiny_actors:Broken")
        assert (await world.next()).code == 70
        assert "broken on purpose" in world.log("broken@n")
        await world.actor("missing@n", "no_such_module:Actor")
        assert (await world.next()).code == 70
        assert "no_such_module" in world.log("missing@n")

    play(scenario, "also_not_there")


def test_children_die_with_the_warm_parent(play):
    async def scenario(world):
        actor = await world.actor("quiet@n", "tiny_actors:Quiet")
        command = await world.command("sleep@n", "sleep", "60")
        world.link.kill()
        assert await asyncio.wait_for(world.lost, 10) == "signal 9"
        assert await gone(actor.pid)
        assert await gone(command.pid)

    play(scenario)


def test_children_die_when_the_link_is_closed_even_if_the_warm_parent_is_stopped(play):
    async def scenario(world):
        actor = await world.actor("quiet@n", "tiny_actors:Quiet")
        command = await world.command("sleep@n", "sleep", "60")
        os.kill(world.link.pid, signal.SIGSTOP)
        await world.link.close()
        assert await gone(actor.pid)
        assert await gone(command.pid)

    play(scenario)


def test_what_an_actor_leaves_running_is_ended_with_it(play, tmp_path):
    (tmp_path / "tiny_parent.py").write_text(
        "import subprocess\nfrom runtime.actor import Actor\n"
        "class Parent(Actor):\n"
        "    async def start(self):\n"
        "        print('helper', subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
    )

    async def scenario(world):
        actor = await world.actor("parent@n", "tiny_parent:Parent")
        async with asyncio.timeout(20):
            while "serving" not in world.log("parent@n"):
                await asyncio.sleep(0.01)
        helper = int(world.log("parent@n").split("helper ")[1].split()[0])
        os.kill(actor.pid, signal.SIGKILL)
        assert (await world.next()).signal == 9
        assert await gone(helper)

    play(scenario)
