"""Decisions a CPU second of the scheduler's core: no bus, no API server, only filters, scores and the queue.

    python tests/bench/bench_scheduler.py [NODES] [PODS]

Prints a line a case: what the pods are like, decisions a CPU second, and how many pods found a node.
"""

import itertools
import sys
import time
from collections.abc import Callable
from typing import Any

from actors.scheduler.core import Bind, SchedulerCore

Object = dict[str, Any]


def node(number: int) -> Object:
    labels = {"kubernetes.io/hostname": f"n{number}", "zone": f"z{number % 3}", "disk": "ssd" if number % 2 else "hdd"}
    return {
        "metadata": {"name": f"n{number}", "labels": labels},
        "spec": {},
        "status": {"allocatable": {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}},
    }


def pod(number: int, **spec: Any) -> Object:
    app = f"app-{spec.pop('app', 0)}"
    requests = {"cpu": spec.pop("cpu", "100m"), "memory": "128Mi"}
    container = {"name": "main", "image": "busybox:1", "resources": {"requests": requests}}
    return {
        "metadata": {"name": f"p{number}", "namespace": "default", "uid": f"u{number}", "labels": {"app": app}},
        "spec": {"containers": [container], "schedulerName": "default-scheduler", **spec},
        "status": {"phase": "Pending"},
    }


def spread(key: str) -> list[Object]:
    selector = {"matchLabels": {"app": "app-0"}}
    return [{"maxSkew": 5, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]


def owned(obj: Object) -> Object:
    obj["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}]
    return obj


def anti_affinity() -> Object:
    term = {"labelSelector": {"matchLabels": {"app": "app-0"}}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "podAffinityTerm": term}]}}  # fmt: skip


CASES: dict[str, Callable[[int], Object]] = {
    "identical pods": pod,
    "replicas, spread by default": lambda n: owned(pod(n)),
    "replicas of 20 controllers": lambda n: owned(pod(n, app=n // 50 % 20)),
    "20 kinds, interleaved": lambda n: pod(n, cpu=f"{100 + n % 20}m"),
    "node selector, 20 kinds": lambda n: pod(n, cpu=f"{100 + n % 20}m", nodeSelector={"disk": "ssd"}),
    "all different": lambda n: pod(n, cpu=f"{n % 5000 + 1}m"),
    "topology spread over zones": lambda n: pod(n, topologySpreadConstraints=spread("zone")),
    "preferred anti-affinity by host": lambda n: pod(n, affinity=anti_affinity()),
}


def run(nodes: int, pods: int, make: Callable[[int], Object]) -> tuple[float, int]:
    core = SchedulerCore(seed=1)
    for number in range(nodes):
        core.node_changed(None, node(number), 0.0)
    made = [make(number) for number in range(pods)]
    begin = time.process_time()
    for obj in made:
        core.pod_changed(f"default/{obj['metadata']['name']}", None, obj, 0.0)
    bound = 0
    for _ in itertools.count():
        decisions = core.schedule(0.0, 64)
        if not decisions:
            break
        bound += sum(isinstance(decision, Bind) for decision in decisions)
    return pods / (time.process_time() - begin), bound


def main() -> None:
    nodes, pods = (int(text) for text in (*sys.argv[1:3], "1000", "5000")[:2])
    print(f"{pods} pods on {nodes} nodes")
    for name, make in CASES.items():
        rate, bound = run(nodes, pods, make)
        print(f"  {name:34s} {rate:10,.0f} decisions/CPU s   {bound} bound")


if __name__ == "__main__":
    main()
