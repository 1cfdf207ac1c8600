"""State actors that serve etcd's API, each a program of its own, and the command line of etcd's clients to ask them."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from actors.api.config import ClusterConfig, EtcdConfig, NodeConfig, StateConfig
from actors.cluster import pki
from actors.state import messages as m
from bus import BlockingClient, BusError, Directory
from runtime.actor import Setup
from tests import etcd_programs
from tests.actors.state.state_group import eventually

COMMAND_LIMIT_S = 30.0
ROOT = Path(__file__).resolve().parents[4]


class FaceGroup:
    def __init__(self, path: Path, size: int = 1, *, tls: bool = True, spare: int = 0, **state):
        self.path = path
        self.names = [f"state@m{number}" for number in range(1, size + spare + 1)]
        etcd = EtcdConfig(port=0, tls=tls)
        nodes = {name.partition("@")[2]: NodeConfig(roles=["state"]) for name in self.names}
        state = {"initial_members": self.names[:size], "snapshot_every_bytes": 1 << 30} | state
        self.config = ClusterConfig(nodes=nodes, name="faces", state=StateConfig(etcd=etcd, **state))
        self.tls = tls
        self.processes: dict[str, subprocess.Popen] = {}
        pki.prepare(path, self.config)
        self.directory = Directory(path, self.names)

    def start(self, *names: str) -> None:
        """Start members, and return when all of them serve and know a leader."""
        for name in names:
            node = name.partition("@")[2]
            plain = msgspec.to_builtins(self.config)
            settings = {"cluster": plain, "node": plain["nodes"][node]}
            setup = Setup(name, "state", node, settings, self.path, self.path, self.names)
            with (self.path / f"log-{name}").open("ab") as log:
                command = [sys.executable, "-m", "tests.actors.state.etcd.face_process", _plain(setup)]
                self.processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        for name in names:
            eventually(lambda name=name: self.status(name).etcd_url)

    def status(self, name: str) -> m.StatusReply:
        return self.ask(name, m.StatusRequest())

    def ask(self, name: str, request, timeout_s: float = 2.0):
        with BlockingClient("cli@test") as client:
            return client.request(self.directory.work(name), request, timeout_s=timeout_s)

    def url(self, name: str) -> str:
        return self.status(name).etcd_url

    def leader(self) -> str:
        """Return the member that leads, as all who answer see it."""

        def agreed():
            seen = set()
            for name in self.processes:
                with contextlib.suppress(BusError):
                    seen.add(self.status(name).leader)
            return seen.pop() if len(seen) == 1 else None

        return eventually(agreed)

    def kill(self, name: str) -> None:
        self.processes.pop(name).kill()

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        self.processes.clear()

    def command(self, *words: str, at: str | None = None) -> list[str]:
        """Return the command line of etcdctl; `at`: the members to ask, all of them unless said."""
        endpoints = ",".join(self.url(name) for name in ([at] if at else self.processes))
        keys = self.path / "pki" / "etcd"
        tls = ["--cacert", keys / "ca.crt", "--cert", keys / "client.crt", "--key", keys / "client.key"]
        return [
            etcd_programs.need("etcdctl"),
            f"--endpoints={endpoints}",
            "--command-timeout=20s",
            *map(str, tls if self.tls else []),
            *words,
        ]

    def etcdctl(self, *words: str, at: str | None = None, stdin: str = "", status: int = 0) -> str:
        """Run it and return what it printed, all of it; AssertionError unless it ends with `status`."""
        done = subprocess.run(
            self.command(*words, at=at),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            env=os.environ | {"ETCDCTL_API": "3"},
            check=False,
        )
        assert done.returncode == status, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + (done.stderr if status else "")

    def following(self, *words: str) -> subprocess.Popen:
        """Run it in the background, for what it prints as it goes."""
        return subprocess.Popen(
            self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )


def _plain(setup: Setup) -> str:
    return msgspec.json.encode(setup, enc_hook=str).decode()
