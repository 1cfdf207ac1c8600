"""A small control plane of real processes for tests of one role: state actor, API server, and what the test adds.

Every actor is a forked child; its log goes to DATA/logs. Time limits are generous, waits end with their condition.
"""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.api.client import ApiClient
from actors.api.config import ApiServerConfig, ClusterConfig, ControllerConfig, NodeConfig
from actors.api.errors import ApiError
from actors.cluster import pki
from actors.cluster.compose import TARGETS
from bus import BusError, Client
from runtime.actor import Setup, run
from runtime.messages import InspectRequest

PATIENCE_S = 30.0
CLONE_NEWNET = 0x40000000

Object = dict[str, Any]


class ControlPlane:
    def __init__(self, data_dir: Path, roles: list[str], runtime: str) -> None:
        self.data_dir, self.run_dir = data_dir, data_dir / "run"
        self.run_dir.mkdir(mode=0o700)
        (data_dir / "logs").mkdir()
        nodes = {"m1": NodeConfig(roles=["state", "apiserver", *roles], runtime=runtime)}
        nodes["m2"] = NodeConfig(roles=roles, runtime=runtime)
        quick = ControllerConfig(lease_duration_s=3.0, renew_deadline_s=2.0, retry_period_s=0.2)
        self.config = ClusterConfig(nodes=nodes, apiserver=ApiServerConfig(port=0), controllers=quick)
        self.names = [f"{role}@{name}" for name, node in nodes.items() for role in node.roles]
        pki.prepare(data_dir, self.config)
        self.processes: dict[str, Any] = {}
        self.client = Client("cli@test")
        self.directory = self._setup("cli@test").directory
        self.api = ApiClient(self.client, self.directory.work_of_role("apiserver"))

    def _setup(self, name: str) -> Setup:
        role, _, node = name.partition("@")
        plain = msgspec.to_builtins(self.config)
        settings = {"cluster": plain, "node": plain["nodes"].get(node)}
        return Setup(name, role, node, settings, self.data_dir, self.run_dir, self.names)

    def start(self, name: str, netns: str = "") -> None:
        """Fork an actor, into a network namespace if one is named."""

        def live() -> None:
            log = os.open(self.data_dir / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if netns:
                with open(f"/var/run/netns/{netns}") as namespace:
                    assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) == 0
            os._exit(run(TARGETS[name.partition("@")[0]], self._setup(name)))

        process = multiprocessing.get_context("fork").Process(target=live)
        process.start()
        self.processes[name] = process

    async def add_node(self, node: Object) -> None:
        """Create a Node, and let pods onto it, as the node controller would once its kubelet said that it is ready."""
        await self.api.create("nodes", node)
        await self.api.patch("nodes", node["metadata"]["name"], {"spec": {"taints": None}})

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes.pop(name)
        os.kill(process.pid, number)
        process.join(10)

    def stop(self) -> None:
        self.client.close()
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()

    async def inspect(self, name: str) -> Object:
        """Return what an actor says of itself; nothing while it does not answer."""
        try:
            reply = await self.client.request(self.directory.control(name), InspectRequest(), timeout_s=2.0)
        except BusError:
            return {}
        return reply.state


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Return what `condition` returns once it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(ApiError, BusError):
            if found := await condition():
                return found
        await asyncio.sleep(0.02)
    raise TimeoutError(what)


@contextlib.asynccontextmanager
async def control_plane(data_dir: Path, roles: list[str], runtime: str = "simulated") -> AsyncIterator[ControlPlane]:
    """Bring up state actor and API server; `roles` are what the test may start on nodes m1 and m2."""
    plane = ControlPlane(data_dir, roles, runtime)
    try:
        plane.start("state@m1")
        plane.start("apiserver@m1")
        await until(lambda: plane.api.get("namespaces", "default"), "the API server did not come up")
        account = {"metadata": {"name": "default", "namespace": "default"}}
        await plane.api.create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", **account})
        yield plane
    finally:
        plane.stop()
