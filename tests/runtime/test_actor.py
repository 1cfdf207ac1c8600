"""The life of an actor's process: health, inspection, an orderly end, an end by failure, an end by orphanhood."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest

from bus import BlockingClient, Directory, Keyring, Unavailable, keys
from runtime import failpoint
from runtime.actor import Actor, CannotServe, Setup, run
from runtime.exits import EXIT_BROKEN, EXIT_CANNOT_SERVE, last_words
from runtime.messages import FailpointRequest, HealthRequest, InspectRequest, MetricsRequest, StopRequest, TasksRequest


class Sample(Actor):
    async def start(self):
        if self.setup.settings.get("cannot"):
            raise CannotServe("the disk is upside down")
        if self.setup.settings.get("fail_start"):
            raise RuntimeError("can't start")
        self.spawn(self.tick(), "tick")
        if self.setup.settings.get("fail_later"):
            asyncio.get_running_loop().call_later(0.01, self.broken)

    def broken(self):
        raise ValueError("in a callback, where nobody asks")

    async def tick(self):
        while True:
            failpoint.passing("tick")
            await asyncio.sleep(0.01)

    async def stop(self):
        (self.dir / "stopped").write_text("yes")

    def inspect(self):
        return {"leader": True, "answer": 42}


def born(tmp_path: Path, lifeline: int | None = None, held: int | None = None, network=None, **settings):
    """Fork a process that lives as Sample; `held` is closed in it, as the warm parent does with the lifeline's end."""
    setup = Setup("sample@a", "sample", "a", settings, tmp_path, tmp_path, ["sample@a"], **(network or {}))

    def live() -> None:
        if held is not None:
            os.close(held)
        os._exit(run(f"{__name__}:Sample", setup, lifeline))

    process = multiprocessing.get_context("fork").Process(target=live)
    process.start()
    return process


@pytest.fixture
def client():
    with BlockingClient("cli@test") as client:
        yield client


def control(tmp_path):
    return Directory(tmp_path, ["sample@a"]).control("sample@a")


def serving(client, tmp_path):
    while (health := client.request(control(tmp_path), HealthRequest())).state != "serving":
        pass
    return health


def test_it_answers_on_its_control_socket_and_stops_when_told(tmp_path, client):
    process = born(tmp_path)
    assert serving(client, tmp_path).leader is True
    state = client.request(control(tmp_path), InspectRequest()).state
    assert (state["answer"], state["pid"]) == (42, process.pid)
    assert isinstance(client.request(control(tmp_path), MetricsRequest()).text, str)
    assert "tick: Sample.tick" in client.request(control(tmp_path), TasksRequest()).text
    client.request(control(tmp_path), StopRequest())
    process.join(5)
    assert process.exitcode == 0
    assert (tmp_path / "actors" / "sample@a" / "stopped").exists()


def test_it_answers_on_the_network_too_where_it_has_keys(tmp_path, client):
    for name in ("sample@a", "cli@b"):
        keys.make(tmp_path / "keys", name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    process = born(tmp_path, network={"listen": {"control": address}, "keys_dir": tmp_path / "keys"})
    serving(client, tmp_path)
    far = Directory(tmp_path / "elsewhere", ["sample@a"], {"sample@a": {"control": address}}).control("sample@a")
    with BlockingClient("cli@b", keyring=Keyring(tmp_path / "keys", "cli@b")) as other:
        assert other.request(far, InspectRequest()).state["pid"] == process.pid
        other.request(far, StopRequest())
    process.join(5)
    assert process.exitcode == 0


def test_a_signal_stops_it_in_good_order(tmp_path, client):
    process = born(tmp_path)
    serving(client, tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    process.join(5)
    assert process.exitcode == 0
    assert (tmp_path / "actors" / "sample@a" / "stopped").exists()


@pytest.mark.parametrize(("action", "status"), [("error", EXIT_BROKEN), ("crash", -signal.SIGKILL)])
def test_a_failpoint_ends_it(tmp_path, client, action, status):
    process = born(tmp_path)
    serving(client, tmp_path)
    with contextlib.suppress(Unavailable):  # it may end before the answer has left it
        client.request(control(tmp_path), FailpointRequest("tick", action))
    process.join(5)
    assert process.exitcode == status


def test_a_callback_that_fails_ends_the_process(tmp_path):
    process = born(tmp_path, fail_later=True)
    process.join(5)
    assert process.exitcode == EXIT_BROKEN


def test_a_start_that_fails_ends_the_process(tmp_path, client):
    process = born(tmp_path, fail_start=True)
    process.join(5)
    assert process.exitcode == EXIT_BROKEN
    with pytest.raises(Unavailable):
        client.request(control(tmp_path), HealthRequest(), timeout_s=0.1)


def test_what_stands_in_its_way_is_left_for_the_supervisor(tmp_path):
    process = born(tmp_path, cannot=True)
    process.join(5)
    assert process.exitcode == EXIT_CANNOT_SERVE
    assert last_words(tmp_path, "sample@a").read_text() == "the disk is upside down"


def test_it_ends_when_its_supervisor_is_gone(tmp_path, client):
    lifeline, held = os.pipe()
    process = born(tmp_path, lifeline, held=held)
    os.close(lifeline)
    serving(client, tmp_path)
    os.close(held)
    process.join(5)
    assert process.exitcode == 0
    assert (tmp_path / "actors" / "sample@a" / "stopped").exists()
