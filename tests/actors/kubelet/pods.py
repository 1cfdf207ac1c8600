"""Pods and runtime records for the kubelet's core tests, made of only what a case is about."""

from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet import runtime as rt
from actors.kubelet.observed import PodRuntime

NOW_S = 1_700_000_000.0
NS = 1_000_000_000


def container(name: str = "web", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": f"{name}:1", **fields}


def pod(*containers: dict[str, Any], inits: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "default", "uid": "u1", "generation": 1}
    spec = {"containers": list(containers) or [container()], "nodeName": "w1", **spec}
    if inits:
        spec["initContainers"] = list(inits)
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def sandbox(attempt: int = 0, ready: bool = True, ips: tuple[str, ...] = ("10.0.0.2",)) -> rt.SandboxStatus:
    made = int(NOW_S - 1000) * NS + attempt
    return rt.SandboxStatus(rt.PodSandbox(f"s{attempt}", "u1", "p", "default", attempt, ready, made), ips)


def instance(
    of: dict[str, Any],
    state: str = "running",
    attempt: int = 0,
    exit_code: int = 0,
    ago_s: float = 1.0,
    reason: str = "",
    sandbox_id: str = "s0",
    hashed: str | None = None,
) -> rt.ContainerStatus:
    annotations = {rt.RESTART_COUNT: str(attempt), rt.CONTAINER_HASH: hashed or pods.container_hash(of)}
    at = int((NOW_S - ago_s) * NS)
    return rt.ContainerStatus(
        rt.Container(
            f"{of['name']}-{attempt}",
            sandbox_id,
            "u1",
            "p",
            "default",
            of["name"],
            attempt,
            rt.ContainerState(state),
            of["image"],
            f"sha256:{of['name']}",
            at - NS,
            annotations,
        ),
        exit_code=exit_code,
        reason=reason,
        started_ns=0 if state == "created" else at - NS,
        finished_ns=at if state == "exited" else 0,
    )


def runtime(*containers: rt.ContainerStatus, sandboxes: tuple[rt.SandboxStatus, ...] | None = None) -> PodRuntime:
    return PodRuntime.of((sandbox(),) if sandboxes is None else sandboxes, containers)
