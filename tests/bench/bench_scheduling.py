"""Pods bound a second by a whole scheduler: real state actor, API server and scheduler, each a process; no kubelets.

    python tests/bench/bench_scheduling.py [NODES] [PODS]

Nodes and pods are created first; the clock runs from the scheduler's start until the last pod is bound, less the time
until its informers had read everything.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil

from actors.api.client import ApiClient
from actors.api.config import ApiServerConfig, ClusterConfig, NodeConfig
from actors.api.errors import ApiError
from actors.cluster import pki
from actors.cluster.compose import TARGETS
from bus import BusError, Client
from runtime.actor import Setup, run
from runtime.messages import InspectRequest

ROLES = ["state", "apiserver", "scheduler", "proxy"]
PARALLEL_CREATES = 64
PATIENCE_S = 60.0

Object = dict[str, Any]


class Cluster:
    """Actors as child processes in a temporary data dir."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.run_dir = data_dir, data_dir / "run"
        self.run_dir.mkdir(mode=0o700)
        self.config = ClusterConfig(
            nodes={"m1": NodeConfig(roles=ROLES, runtime="simulated")}, apiserver=ApiServerConfig(port=0)
        )
        pki.prepare(data_dir, self.config)
        self.processes: list[Any] = []

    def start(self, role: str) -> None:
        plain = msgspec.to_builtins(self.config)
        settings = {"cluster": plain, "node": plain["nodes"]["m1"]}
        setup = Setup(f"{role}@m1", role, "m1", settings, self.data_dir, self.run_dir, [f"{r}@m1" for r in ROLES])
        target = TARGETS[role]
        process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(run(target, setup)), name=role)
        process.start()
        self.processes.append(process)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.join(10)
            if process.is_alive():
                process.kill()

    @property
    def directory(self) -> Any:
        return Setup("cli@bench", "cli", "", {}, self.data_dir, self.run_dir, [f"{r}@m1" for r in ROLES]).directory


async def ready(api: ApiClient) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            await api.get("namespaces", "default")
        except (ApiError, BusError):
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError("the API server did not come up")


async def create_all(api: ApiClient, resource: str, objects: list[Object]) -> float:
    gate = asyncio.Semaphore(PARALLEL_CREATES)

    async def create(obj: Object) -> None:
        async with gate:
            await api.create(resource, obj)

    begin = time.perf_counter()
    await asyncio.gather(*(create(obj) for obj in objects))
    return len(objects) / (time.perf_counter() - begin)


def account() -> Object:
    """What the controller manager would have made, and no pod is admitted without."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}


def node(number: int) -> Object:
    resources = {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"n{number}", "labels": {"kubernetes.io/hostname": f"n{number}"}},
        "status": {"allocatable": resources, "capacity": resources},
    }


def pod(number: int) -> Object:
    container = {
        "name": "main",
        "image": "busybox:1",
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number}", "namespace": "default", "labels": {"app": "bench"}},
        "spec": {"containers": [container]},
    }


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def inspect(client: Client, cluster: Cluster, name: str) -> Object:
    reply = await client.request(cluster.directory.control(name), InspectRequest(), timeout_s=5.0)
    return reply.state


async def measure(cluster: Cluster, nodes: int, pods: int) -> None:
    client = Client("cli@bench")
    api = ApiClient(client, cluster.directory.work_of_role("apiserver"))
    await ready(api)
    await api.create("serviceaccounts", account())
    print(f"  nodes created    {await create_all(api, 'nodes', [node(n) for n in range(nodes)]):10,.0f} /s")
    for n in range(nodes):  # as the node controller does once a kubelet said that its node is ready
        await api.patch("nodes", f"n{n}", {"spec": {"taints": None}})
    print(f"  pods created     {await create_all(api, 'pods', [pod(n) for n in range(pods)]):10,.0f} /s")
    cluster.start("scheduler")
    processes = [psutil.Process(process.pid) for process in cluster.processes]
    synced, before = None, []
    while True:
        try:
            state = await inspect(client, cluster, "scheduler@m1")
        except BusError:
            await asyncio.sleep(0.02)
            continue
        if synced is None and state.get("synced") and state.get("leader"):
            synced, before = time.perf_counter(), [cpu_s(process) for process in processes]
        if synced is not None and not any(state["queue"].values()):
            break
        await asyncio.sleep(0.02)
    print(f"  pods bound       {pods / (time.perf_counter() - synced):10,.0f} /s")
    spent = [cpu_s(process) - begun for process, begun in zip(processes, before, strict=True)]
    costs = ", ".join(
        f"{process.name} {s / pods * 1e6:.0f}" for process, s in zip(cluster.processes, spent, strict=True)
    )
    print(f"  CPU a pod        {costs} µs")
    listed = await api.list("pods", "default")
    assert all(item["spec"].get("nodeName") for item in listed["items"])
    used = {item["spec"]["nodeName"] for item in listed["items"]}
    print(f"  nodes used       {len(used):10,}")
    client.close()


def main() -> None:
    nodes, pods = (int(text) for text in (*sys.argv[1:3], "1000", "5000")[:2])
    print(f"{pods} pods on {nodes} nodes")
    with tempfile.TemporaryDirectory(prefix="kubus-bench-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start("state")
            cluster.start("apiserver")
            asyncio.run(measure(cluster, nodes, pods))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
