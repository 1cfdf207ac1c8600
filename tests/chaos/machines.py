"""Machines for a cluster that spans them: network namespaces that a switch joins, with a supervisor in each.

Each has a data directory and an address of its own, so that all talk between them is encrypted tcp. A machine can be
killed whole (its supervisor and every process of it), stopped, cut off (its link goes down), in one direction too, and
started again. The worker's machine has the balancer, and is where clients sit.

Neighbours: `test_ha` torments them; `api_history` is the clients.
"""

import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

from actors.state.messages import MemberListRequest, MembersReply
from bus import BlockingClient, BusError, Request, ipc_endpoint
from runtime.messages import HealthRequest
from runtime.supervisor.rundir import find
from tests.cluster import CommandFailed, eventually

MASTERS = ("m1", "m2", "m3")
WORKER = "w1"
COMMAND_LIMIT_S = 60.0
UP_LIMIT_S = 120.0
ASK_S = 2.0  # for one actor to answer
STATE = 7440  # the port of a state actor, where a node gives no other
CONFIG = """
name: ha-test
apiserver: {port: 6444, shutdown_delay_s: 1.0}
balancer: {port: 6443}
nodes:
  m1: {roles: [state, apiserver, scheduler, controller-manager], address: 10.77.0.1}
  m2: {roles: [state, apiserver, scheduler, controller-manager], address: 10.77.0.2}
  m3: {roles: [state, apiserver, scheduler, controller-manager], address: 10.77.0.3}
  w1: {roles: [kubelet, balancer], runtime: simulated, address: 10.77.0.4}
"""


class Machine:
    def __init__(self, name: str, address: str, config: Path, home: Path, tag: str):
        self.name = name
        self.address = address
        self.config = config
        self.home = home
        self.data_dir = home / name
        self.namespace = f"{tag}-{name}"
        self.link = f"v{os.getpid() % 100_000}{name}"  # at the switch; an interface's name has 15 characters

    def kubus(self, *words: str, limit_s: float = COMMAND_LIMIT_S) -> str:
        command = [sys.executable, "-m", "actors.cluster.cli", *words]
        done = subprocess.run(self.inside(command), capture_output=True, text=True, timeout=limit_s, env=self._env())
        if done.returncode:
            raise CommandFailed(f"{self.name}: {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self) -> "subprocess.Popen[str]":
        """Begin to come up; `wait_up` says when it has."""
        words = ["up", "--config", str(self.config), "--only", self.name, "--detach"]
        bundle = self.home / f"{self.name}.bundle"
        if bundle.exists() and not self.data_dir.exists():
            words += ["--bundle", str(bundle)]
        command = self.inside([sys.executable, "-m", "actors.cluster.cli", *words])
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._env()
        )  # fmt: skip

    def wait_up(self, starting: "subprocess.Popen[str]") -> None:
        said, _ = starting.communicate(timeout=UP_LIMIT_S)
        assert starting.returncode == 0, f"{self.name} did not come up:\n{said}"

    def ask(self, actor: str, request: Request, socket: str = "work") -> Any:
        """Ask one of this machine's actors, by its Unix socket."""
        with BlockingClient("cli@test") as client:
            return client.request(ipc_endpoint(find(self.data_dir), actor, socket), request, timeout_s=ASK_S)

    @property
    def actors(self) -> list[str]:
        return [f"{role}@{self.name}" for role in ("state", "apiserver", "scheduler", "controller-manager")]

    def processes(self) -> list[psutil.Process]:
        """The supervisor, and all that descends from it."""
        supervisor = psutil.Process(int((self.data_dir / "lock").read_text()))
        return [supervisor, *supervisor.children(recursive=True)]

    def signal_all(self, number: signal.Signals) -> None:
        for process in self.processes():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue  # it died with its supervisor

    def down(self) -> None:
        if (self.data_dir / "lock").exists():
            try:
                self.kubus("down")
            except CommandFailed as error:
                assert "no Kubus runs" in str(error), error

    def log_of(self, name: str) -> str:
        return (self.data_dir / "logs" / f"{name}.log").read_text(errors="replace")

    def inside(self, command: list[str]) -> list[str]:
        return ["nsenter", f"--net=/var/run/netns/{self.namespace}", *command]

    def _env(self) -> dict[str, str]:
        return os.environ | {"KUBUS_DATA_DIR": str(self.data_dir), "NO_COLOR": "1"}


class Machines:
    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="kubus-ha-"))
        self.tag = f"kubus-test-{os.getpid()}-{self.home.name[-6:]}"
        self.switch = f"{self.tag}-switch"
        config = self.home / "ha.yaml"
        config.write_text(CONFIG)
        names = [*MASTERS, WORKER]
        self.machines = {
            name: Machine(name, f"10.77.0.{number}", config, self.home, self.tag)
            for number, name in enumerate(names, start=1)
        }
        self._lay_cables()

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def up(self) -> None:
        """Found the cluster on the first machine, and let the others take part."""
        first, *others = self.machines.values()
        begun = {first: first.start()}
        for machine in others:
            text = eventually(lambda machine=machine: first.kubus("bundle", "create", machine.name), "a bundle is made")
            (self.home / f"{machine.name}.bundle").write_text(text)
            begun[machine] = machine.start()
        for machine, starting in begun.items():
            machine.wait_up(starting)
        self.kubeconfig.write_text(
            (first.data_dir / "kubeconfig")
            .read_text()
            .replace(f"https://{first.address}:6444", "https://127.0.0.1:6443")
        )

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, through the balancer of the worker's machine."""
        return self.home / "kubeconfig"

    def cut(self, name: str) -> None:
        """Pull a machine's cable."""
        _ip("-n", self.switch, "link", "set", self[name].link, "down")

    def mend(self, name: str) -> None:
        _ip("-n", self.switch, "link", "set", self[name].link, "up")

    def deafen(self, name: str) -> None:
        """From now on nothing reaches a machine from the others, while what it sends goes out."""
        self._drop(name, "input", "iifname eth0")

    def gag(self, name: str) -> None:
        """From now on nothing leaves a machine for the others, while it hears them."""
        self._drop(name, "output", "oifname eth0")

    def gag_api_server(self, name: str) -> None:
        """Nothing that an API server sends reaches the states of the others; its own member is in touch with them."""
        (server,) = [each for each in self[name].processes() if each.cmdline()[:1] == [f"kubus: apiserver@{name}"]]
        sockets = subprocess.run(
            self[name].inside(["ss", "-Htnp", "dport", "=", f":{STATE}"]), check=True, capture_output=True, text=True
        )
        lines = [line.split() for line in sockets.stdout.splitlines() if f"pid={server.pid}," in line]
        ports = [local.rpartition(":")[2] for _, _, _, local, *_ in lines]
        self._drop(name, "output", f"tcp sport {{ {', '.join(ports)} }}")

    def ungag(self, name: str) -> None:
        self._nft(name, "delete table inet torment")

    def _drop(self, name: str, hook: str, what: str) -> None:
        rule = f"chain {hook} {{\ntype filter hook {hook} priority 0;\n{what} drop\n}}"
        self._nft(name, f"table inet torment {{\n{rule}\n}}\n")

    def _nft(self, name: str, words: str) -> None:
        subprocess.run(
            self[name].inside(["nft", "-f", "-"]), input=words, text=True, check=True, capture_output=True, timeout=20
        )

    def is_whole(self) -> bool:
        """Whether all members of the state's group are there, and closely behind their leader."""
        found = self._members().members
        return len(found) == len(MASTERS) and all(each.is_active and each.behind < 100 for each in found)

    def leads(self) -> set[str]:
        """Return the actors that lead something."""
        health = {
            actor: self[name].ask(actor, HealthRequest(), "control") for name in MASTERS for actor in self[name].actors
        }
        return {actor for actor, each in health.items() if each.leader}

    def leader(self) -> str:
        """Return the master that leads the state."""
        return self._members().leader.removeprefix("state@")

    def _members(self) -> MembersReply:
        """What the leader says of the group; LookupError while nobody leads."""
        for name in MASTERS:
            try:
                return self[name].ask(f"state@{name}", MemberListRequest())
            except BusError:
                continue  # another one may lead
        raise LookupError("nobody leads")

    def forget(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(len(self.machines)) as at_once:
            list(at_once.map(Machine.down, self.machines.values()))
        for machine in self.machines.values():
            _ip("netns", "del", machine.namespace)
        _ip("netns", "del", self.switch)
        shutil.rmtree(self.home)

    def _lay_cables(self) -> None:
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "br0", "up")
        for machine in self.machines.values():
            own = machine.namespace
            _ip("netns", "add", own)
            _ip("link", "add", machine.link, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", own)
            _ip("-n", self.switch, "link", "set", machine.link, "master", "br0", "up")
            _ip("-n", own, "addr", "add", f"{machine.address}/24", "dev", "eth0")
            _ip("-n", own, "link", "set", "eth0", "up")
            _ip("-n", own, "link", "set", "lo", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)
