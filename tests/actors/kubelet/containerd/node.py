"""A node for the real tier: a containerd of its own in a network namespace of its own, and a driver on it.

The namespace is anonymous: the test's thread enters it, everything that is started from there is in it, and the kernel
removes it after the last of them. So tests meet nobody else's bridge, rules and addresses.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import msgspec
import pytest

from actors.api.config import ClusterConfig, NodeConfig
from actors.cluster import purge
from actors.kubelet.containerd.child import containerd_child
from actors.kubelet.containerd.driver import ContainerdDriver
from actors.kubelet.runtime import (
    CONTAINER_NAME_LABEL,
    POD_NAME_LABEL,
    POD_NAMESPACE_LABEL,
    POD_UID_LABEL,
    ContainerSpec,
    RuntimeUnreachable,
    SandboxSpec,
)
from runtime.actor import Setup
from tests.real_tier import need_real

CLONE_NEWNET = 0x40000000
UP_LIMIT_S = 20.0
TOOLBOX = "kubus.local/toolbox:latest"
POD_CIDR = "10.77.0.0/24"


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts, into a new network namespace with a loopback.

    Threads that are begun in there stay in there. gRPC makes its connections in threads of its own, which live as long
    as any channel does: so they are begun out here, or the tests that come later in this process would reach nobody.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.closing(grpc.insecure_channel("unix:nobody")):
        with _inside(libc):
            yield


@contextlib.contextmanager
def _inside(libc: ctypes.CDLL) -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.unshare(CLONE_NEWNET):
        pytest.skip(f"real tier: no network namespace can be made: {os.strerror(ctypes.get_errno())}")
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
        yield
    finally:
        assert libc.setns(before, 0) == 0
        os.close(before)


class Node:
    def __init__(self) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="kubus-", dir="/var/tmp"))
        (self.data_dir / "lock").touch()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.data_dir / "containerd.log"

    def start(self) -> None:
        child = containerd_child(self.data_dir, self.data_dir / "run", "m1", ClusterConfig(nodes={}))
        child["prepare"]()
        with self.log.open("ab") as log:
            environment = {**os.environ, **child["env"]}
            self.process = subprocess.Popen(child["command"], env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @contextlib.asynccontextmanager
    async def driver(self) -> AsyncIterator[ContainerdDriver]:
        """A driver that has found its containerd."""
        node = NodeConfig(roles=["kubelet"])
        settings = {
            "cluster": msgspec.to_builtins(ClusterConfig(nodes={"m1": node})),
            "node": msgspec.to_builtins(node),
        }
        setup = Setup("kubelet@m1", "kubelet", "m1", settings, self.data_dir, self.data_dir / "run", ["kubelet@m1"])
        driver = ContainerdDriver(setup, "m1")
        await driver.open()
        try:
            await until_up(driver)
            yield driver
        finally:
            await driver.close()

    def purge(self) -> list[str]:
        failures = purge.purge_data_dir(self.data_dir)
        if self.process is not None:
            self.process.wait(10)
        return failures

    def forget(self) -> None:
        shutil.rmtree(self.data_dir, ignore_errors=True)


@contextlib.contextmanager
def running_node() -> Iterator[Node]:
    """A node whose containerd runs. It is removed, and nothing of it may be left."""
    need_real()
    with own_network():
        node = Node()
        try:
            node.start()
            yield node
        finally:
            failures = node.purge()
            node.forget()
            assert failures == []


async def until_up(driver: ContainerdDriver) -> None:
    deadline = time.monotonic() + UP_LIMIT_S
    while True:
        try:
            await driver.version()
        except RuntimeUnreachable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.01)
        else:
            return


def labels(pod: str) -> dict[str, str]:
    return {POD_NAME_LABEL: pod, POD_NAMESPACE_LABEL: "default", POD_UID_LABEL: f"uid-{pod}"}


def sandbox(node: Node, pod: str, **more: object) -> SandboxSpec:
    fields = {
        "pod_name": pod, "pod_namespace": "default", "pod_uid": f"uid-{pod}", "attempt": 0, "hostname": pod,
        "log_directory": str(node.data_dir / "nodes/m1/logs" / pod), "qos_class": "BestEffort", "labels": labels(pod),
    }  # fmt: skip
    return SandboxSpec(**(fields | more))  # type: ignore[arg-type]


def container(pod: str, name: str, *command: str, **more: object) -> ContainerSpec:
    fields = {
        "name": name, "attempt": 0, "image": TOOLBOX, "image_id": TOOLBOX, "command": command,
        "labels": {**labels(pod), CONTAINER_NAME_LABEL: name}, "log_path": f"{name}/0.log",
    }  # fmt: skip
    return ContainerSpec(**(fields | more))  # type: ignore[arg-type]
