"""A thousand simulated nodes, ten thousand pods: python -m tests.bench.bench_simulated [--nodes N] [--pods N] [--plain]

Nodes are played by one kubelet process; state actor, API server, scheduler and controller manager are a process each,
and all of it, this program too, shares the machine. Pods come from Deployments, or with --plain one by one. Printed are
seconds, the CPU of each process, and what the API server was asked: the latter two say where time goes, and do not
depend on what else the machine does.
"""

import argparse
import asyncio
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import psutil
import uvloop

from tests.bench.bench_api import Target
from tests.cluster import Cluster

CONFIG = (Path(__file__).parents[2] / "configs" / "simulated.yaml").read_text()
DEPLOYMENTS = 10
CREATORS = 16  # connections that create plain pods
PATIENCE_S = 300.0
REST_S = 20.0
COUNTED = re.compile(
    r'^apiserver_request_total\{(?=.*[{,]resource="([^"]*)")(?=.*subresource="([^"]*)")(?=.*verb="([^"]*)").*'
    r"\} ([\d.e+]+)$"
)

Object = dict[str, Any]


class Meter:
    """CPU of each process of a cluster, and requests by kind, since the last look."""

    def __init__(self, cluster: Cluster, target: Target):
        status = cluster.status()
        self._processes = {actor["name"]: psutil.Process(actor["pid"]) for actor in status["actors"]}
        self._target = target
        self._cpu: dict[str, float] = {}
        self._requests: Counter[str] = Counter()

    async def begin(self) -> None:
        self._cpu, self._requests = self._cpu_now(), await requests(self._target)

    async def report(self, what: str, count: int) -> None:
        cpu, now = self._cpu_now(), await requests(self._target)
        spent = {name: now - self._cpu.get(name, 0.0) for name, now in cpu.items()}
        parts = ", ".join(f"{name.partition('@')[0]} {s:.1f}" for name, s in spent.items())
        print(f"  CPU: {sum(spent.values()):.1f} s ({parts}); {sum(spent.values()) / count * 1e3:.2f} ms a {what}")
        asked = now - self._requests
        most = ", ".join(f"{kind} {number}" for kind, number in asked.most_common(12))
        print(f"  requests: {asked.total() / count:.2f} a {what}: {most}")
        self._cpu, self._requests = cpu, now

    def _cpu_now(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}

    def memory(self) -> None:
        for name, process in self._processes.items():
            print(f"  {name:24} {process.memory_full_info().pss / 1e6:6.1f} MB PSS")


async def requests(target: Target) -> Counter[str]:
    """Return what an API server was asked so far, by verb and resource."""
    _, text = await target.once("GET", "/metrics")
    found: Counter[str] = Counter()
    for line in text.decode().splitlines():
        if match := COUNTED.match(line):
            resource, subresource, verb, number = match.groups()
            found[f"{verb} {resource}" + (f"/{subresource}" if subresource else "")] += int(float(number))
    return found


async def running(target: Target, count: int) -> list[float]:
    """Return when each of so many pods was first seen Running, in order."""
    path = "/api/v1/pods?watch=1&fieldSelector=status.phase%3DRunning&resourceVersion=0"
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls, limit=1 << 24)
    writer.write(target.request("GET", path))
    await reader.readuntil(b"\r\n\r\n")
    seen: dict[str, float] = {}
    while len(seen) < count:
        line = await reader.readline()
        if line.startswith(b"{"):
            event = orjson.loads(line)
            if event["type"] != "BOOKMARK":
                seen.setdefault(event["object"]["metadata"]["uid"], time.perf_counter())
    writer.close()
    return sorted(seen.values())


def template() -> Object:
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    return {"metadata": {"labels": {"app": "bench"}}, "spec": {"containers": [container]}}


async def create_deployments(target: Target, pods: int) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    for number in range(DEPLOYMENTS):
        selector = {"matchLabels": {"app": "bench", "number": str(number)}}
        made = template()
        made["metadata"]["labels"] = selector["matchLabels"]
        replicas = pods // DEPLOYMENTS + (number < pods % DEPLOYMENTS)
        spec = {"replicas": replicas, "selector": selector, "template": made}
        metadata = {"name": f"bench-{number}"}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        status, answer = await target.once("POST", path, body)
        assert status == 201, answer


async def create_plain(target: Target, pods: int) -> None:
    path = "/api/v1/namespaces/default/pods"
    numbers = iter(range(pods))

    async def create() -> None:
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
        for number in numbers:
            made = template()
            made["metadata"]["name"] = f"plain-{number}"
            writer.write(target.request("POST", path, {"apiVersion": "v1", "kind": "Pod", **made}))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201"), head
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(create() for _ in range(CREATORS)))


async def measure(cluster: Cluster, options: argparse.Namespace) -> None:
    target = Target(cluster.data_dir / "kubeconfig")
    meter = Meter(cluster, target)
    await meter.report("node", options.nodes)
    following = asyncio.ensure_future(running(target, options.pods))
    await asyncio.sleep(0.5)
    await meter.begin()
    begin = time.perf_counter()
    await (create_plain if options.plain else create_deployments)(target, options.pods)
    created = time.perf_counter() - begin
    async with asyncio.timeout(PATIENCE_S):
        seen = await following
    middle, last = seen[len(seen) // 2] - begin, seen[-1] - begin
    print(f"{options.pods} pods: half Running after {middle:.1f} s, all after {last:.1f} s "
          f"({options.pods / last:.0f} pods/s; asked for in {created:.1f} s)")  # fmt: skip
    await meter.report("pod", options.pods)
    await asyncio.sleep(REST_S)
    print(f"at rest, the first {REST_S:.0f} s")
    await meter.report("pod", options.pods)
    meter.memory()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    cluster = Cluster(real=False, config=CONFIG)
    try:
        begin = time.perf_counter()
        said = cluster.up("--nodes", str(options.nodes), "--port", "0")
        ready = time.perf_counter() - begin
        api = re.search(r"API ready after ([\d.]+) s", said)
        assert api, said
        print(f"{options.nodes} nodes Ready {ready:.1f} s after the command, API ready after {api[1]} s")
        uvloop.run(measure(cluster, options))
    finally:
        cluster.purge()
        cluster.forget()


if __name__ == "__main__":
    main()
