"""What a whole cluster costs and how fast it is: python -m tests.bench.bench_cluster [--real]

Cold start (from the command to an API server that answers /readyz), memory and CPU at rest, and with --real the time
from a pod's creation to Ready in containerd, one at a time and 30 at once, the kubelet's CPU with those 30, and the
round trip of a command in one of them.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import websockets

from tests.bench.bench_api import Target
from tests.cluster import REAL_CONFIG, SIMULATED_CONFIG, Cluster

STARTS = 5
REST_S = 20.0  # over which the CPU at rest is measured, after a pause of as long
IMAGE = "kubus.local/toolbox:latest"
EXECS = 20
EXEC_PROTOCOL = websockets.Subprotocol("v5.channel.k8s.io")
CONTROL_PLANE = ("state", "apiserver", "scheduler", "controller-manager")
DEFAULT_PACE = re.compile(r"\n( +kubelet: \{lease_renew_s: 2\}|controllers:\n(  .*\n)+)")


def config_of(*, real: bool) -> str:
    """Return the tests' config with the default paces, and in a network of its own the default port."""
    return DEFAULT_PACE.sub("\n", REAL_CONFIG if real else SIMULATED_CONFIG)


def cold_starts(*, real: bool) -> None:
    api, ready = [], []
    for _ in range(STARTS):
        cluster = Cluster(real=real, config=config_of(real=real))
        try:
            begin = time.perf_counter()
            said = cluster.up()
            ready.append(time.perf_counter() - begin)
            api.append(float(re.search(r"API ready after ([\d.]+) s", said)[1]))  # type: ignore[index]
        finally:
            cluster.purge()
            cluster.forget()
    api_s, ready_s = statistics.median(api), statistics.median(ready)
    print(f"cold start, empty disk: API ready median {api_s:.2f} s  all ready {ready_s:.2f} s")


def at_rest(cluster: Cluster) -> None:
    """Memory as PSS (shared pages counted once) and CPU of every process of the cluster."""
    status = cluster.status()
    time.sleep(REST_S)
    pids = {actor["name"]: actor["pid"] for actor in status["actors"]}
    pids["supervisor"] = status["supervisor"]["pid"]
    pids["warm-parent"] = psutil.Process(pids["supervisor"]).children()[0].pid
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    time.sleep(REST_S)
    plane_mb = all_mb = plane_cpu = all_cpu = 0.0
    for name, process in processes.items():
        mb = process.memory_full_info().pss / 1e6
        share = (sum(process.cpu_times()[:2]) - before[name]) / REST_S * 100
        print(f"at rest: {name:24} {mb:6.1f} MB PSS  {share:5.2f} % of a core")
        all_mb, all_cpu = all_mb + mb, all_cpu + share
        if name.partition("@")[0] in CONTROL_PLANE:
            plane_mb, plane_cpu = plane_mb + mb, plane_cpu + share
    print(f"at rest: {'control plane':24} {plane_mb:6.1f} MB PSS  {plane_cpu:5.2f} % of a core")
    print(f"at rest: {'all':24} {all_mb:6.1f} MB PSS  {all_cpu:5.2f} % of a core")


def with_pods(cluster: Cluster) -> None:
    """CPU and memory of the kubelet beside 30 pods that only run."""
    time.sleep(REST_S)
    kubelet = psutil.Process(cluster.actor("kubelet@w1")["pid"])
    before = sum(kubelet.cpu_times()[:2])
    time.sleep(REST_S)
    share = (sum(kubelet.cpu_times()[:2]) - before) / REST_S * 100
    print(f"kubelet with 30 pods: {kubelet.memory_full_info().pss / 1e6:.1f} MB PSS  {share:.2f} % of a core")


def pod(name: str) -> dict[str, Any]:
    container = {"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


class Follower:
    """When each pod was first seen Ready, and when it was gone, from a watch."""

    def __init__(self) -> None:
        self.ready: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self._changed = asyncio.Event()

    async def follow(self, target: Target, path: str, version: str) -> None:
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls, limit=1 << 24)
        writer.write(target.request("GET", f"{path}?watch=1&resourceVersion={version}"))
        await reader.readuntil(b"\r\n\r\n")
        while line := await reader.readline():
            if line.startswith(b"{"):
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        name = event["object"]["metadata"]["name"]
        conditions = event["object"].get("status", {}).get("conditions") or []
        if event["type"] == "DELETED":
            self.gone[name] = time.perf_counter()
        elif any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            self.ready.setdefault(name, time.perf_counter())
        self._changed.set()

    async def all_in(self, names: list[str], seen: dict[str, float]) -> None:
        async with asyncio.timeout(120):
            while not all(name in seen for name in names):
                self._changed.clear()
                await self._changed.wait()


async def pod_starts(target: Target) -> None:
    path = "/api/v1/namespaces/default/pods"
    _, listed = await target.once("GET", path)
    follower = Follower()
    following = asyncio.ensure_future(follower.follow(target, path, json.loads(listed)["metadata"]["resourceVersion"]))
    single = []
    for number in range(8):
        name = f"one-{number}"
        begin = time.perf_counter()
        await target.once("POST", path, pod(name))
        await follower.all_in([name], follower.ready)
        single.append(follower.ready[name] - begin)
        await target.once("DELETE", f"{path}/{name}")
        await follower.all_in([name], follower.gone)
    names = [f"many-{number}" for number in range(30)]
    begin = time.perf_counter()
    for name in names:
        await target.once("POST", path, pod(name))
    await follower.all_in(names, follower.ready)
    last = max(follower.ready[name] for name in names) - begin
    print(f"pod create to Ready, one at a time: p50 {statistics.median(single):.3f} s  max {max(single):.3f} s")
    print(f"30 pods at once: last Ready after {last:.2f} s, {30 / last:.1f} pods/s")
    await execs(target, names[0])
    following.cancel()


async def execs(target: Target, name: str) -> None:
    """Run `true` in a pod as kubectl does: a WebSocket each, from the handshake to the exit status."""
    query = "command=true&container=c&stdout=true&stderr=true"
    url = f"wss://{target.host}:{target.port}/api/v1/namespaces/default/pods/{name}/exec?{query}"
    seconds = []
    for _ in range(EXECS):
        begin = time.perf_counter()
        async with websockets.connect(url, ssl=target.tls, subprotocols=[EXEC_PROTOCOL], proxy=None) as stream:
            status = [message async for message in stream][-1]
        seconds.append(time.perf_counter() - begin)
        assert json.loads(status[1:])["status"] == "Success", status
    print(f"exec of true: p50 {statistics.median(seconds) * 1e3:.0f} ms  max {max(seconds) * 1e3:.0f} ms")


def main() -> None:
    real = "--real" in sys.argv
    cold_starts(real=real)
    cluster = Cluster(real=real, config=config_of(real=real))
    try:
        cluster.up()
        at_rest(cluster)
        kubeconfig = str(cluster.data_dir / "kubeconfig")
        if real:
            measured = [sys.executable, "-m", "tests.bench.bench_cluster", "pods", kubeconfig]
            subprocess.run(cluster.inside(measured), check=True)
            with_pods(cluster)
        subprocess.run(cluster.inside([sys.executable, "-m", "tests.bench.bench_api", kubeconfig]), check=True)
    finally:
        cluster.purge()
        cluster.forget()


if __name__ == "__main__":
    if sys.argv[1:2] == ["pods"]:
        asyncio.run(pod_starts(Target(Path(sys.argv[2]))))
    else:
        main()
