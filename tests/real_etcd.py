"""A real etcd on loopback, one process or several, for tests: free ports; its data is synced only where asked for."""

import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests import etcd_programs

READY_S = 20.0


class RealEtcd:
    def __init__(self, path: Path, size: int = 1, *, sync: bool = False):
        self.path = path
        self.sync = sync
        ports = _free_ports(2 * size)
        self.names = [f"e{number}" for number in range(size)]
        self.endpoints = [f"http://127.0.0.1:{port}" for port in ports[:size]]
        self._peers = [f"http://127.0.0.1:{port}" for port in ports[size:]]
        self.processes: dict[str, subprocess.Popen] = {}

    def start(self) -> "RealEtcd":
        for name in self.names:
            self.launch(name)
        for name in self.names:
            self.wait(name)
        return self

    def __enter__(self) -> "RealEtcd":
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self, name: str) -> None:
        place = self.names.index(name)
        cluster = ",".join(f"{each}={peer}" for each, peer in zip(self.names, self._peers, strict=True))
        options = {
            "name": name,
            "data-dir": self.path / name,
            "listen-client-urls": self.endpoints[place],
            "advertise-client-urls": self.endpoints[place],
            "listen-peer-urls": self._peers[place],
            "initial-advertise-peer-urls": self._peers[place],
            "initial-cluster": cluster,
            "log-level": "error",
        }
        words = [f"--{key}={value}" for key, value in options.items()]
        with (self.path / f"{name}.log").open("ab") as log:
            command = [etcd_programs.need("etcd"), *words, *([] if self.sync else ["--unsafe-no-fsync"])]
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def wait(self, name: str) -> None:
        """Return once a member serves."""
        endpoint = self.endpoints[self.names.index(name)]
        deadline = time.monotonic() + READY_S
        while True:
            done = self.etcdctl("endpoint", "health", endpoint=endpoint, check=False)
            if done.returncode == 0:
                return
            log = self.path / f"{name}.log"
            assert time.monotonic() < deadline, f"{done.stderr}\n{log.read_text()[-2000:]}"
            time.sleep(0.05)

    def etcdctl(self, *words: str, endpoint: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [etcd_programs.need("etcdctl"), f"--endpoints={endpoint or ','.join(self.endpoints)}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=check)

    def etcdctl_in_background(self, *words: str) -> "subprocess.Popen[bytes]":
        command = [etcd_programs.need("etcdctl"), f"--endpoints={','.join(self.endpoints)}", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def version(self) -> str:
        said = subprocess.run([etcd_programs.need("etcd"), "--version"], capture_output=True, text=True, check=True)
        return said.stdout.splitlines()[0].rpartition(" ")[2]

    def wait_for_port(self, name: str) -> None:
        """Return once a member takes connections."""
        address = urlsplit(self.endpoints[self.names.index(name)])
        deadline = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection((address.hostname, address.port), timeout=1.0).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, (self.path / f"{name}.log").read_text()[-2000:]
                time.sleep(0.005)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
