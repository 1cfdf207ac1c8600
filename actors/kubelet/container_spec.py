"""From a pod to what the runtime shall make: sandbox and containers.

Pure. Environment and mounts are made by their own modules and passed in. Neighbours: `starter` calls, `runtime`
declares the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.runtime import (
    CONTAINER_HASH,
    CONTAINER_NAME_LABEL,
    OWNER,
    POD_NAME_LABEL,
    POD_NAMESPACE_LABEL,
    POD_TERMINATION_GRACE_PERIOD,
    POD_UID_LABEL,
    RESTART_COUNT,
    TERMINATION_MESSAGE_PATH,
    TERMINATION_MESSAGE_POLICY,
    ContainerSpec,
    Device,
    Dns,
    Image,
    Mount,
    NamespaceMode,
    PortMapping,
    SandboxSpec,
)
from actors.kubelet.security import check_non_root, container_security, sandbox_security
from actors.kubelet.surroundings.environment import expand_all

HOSTNAME_LIMIT = 63  # the kernel allows 64; Kubernetes cuts a pod's name there
TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What containers take from their node."""

    memory_bytes: int
    owner: str
    seccomp_root: Path
    cluster_domain: str = "cluster.local"
    host_ips: tuple[str, ...] = ()


def log_directory(logs_root: Path, pod: pods.Pod) -> Path:
    """Return the folder of a pod's logs: named so that log collectors know the pod by it."""
    return logs_root / f"{pods.namespace(pod)}_{pods.name(pod)}_{pods.uid(pod)}"


def log_path(container_name: str, restart_count: int) -> str:
    return f"{container_name}/{restart_count}.log"


def hostname_of(pod: pods.Pod, domain: str) -> str:
    """Return the name that the pod's processes see."""
    if pod["spec"].get("hostnameOverride"):
        return str(pod["spec"]["hostnameOverride"])
    hostname = pod["spec"].get("hostname") or pods.name(pod)
    hostname = hostname[:HOSTNAME_LIMIT].rstrip("-.")
    if pod["spec"].get("setHostnameAsFQDN"):
        return fqdn_of(pod, domain) or hostname
    return hostname


def fqdn_of(pod: pods.Pod, domain: str) -> str:
    """Return the pod's full name if it has a subdomain."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostnameOverride"):
        return ""
    hostname = (pod["spec"].get("hostname") or pods.name(pod))[:HOSTNAME_LIMIT].rstrip("-.")
    return f"{hostname}.{subdomain}.{pods.namespace(pod)}.svc.{domain}"


def sandbox_spec(
    pod: pods.Pod,
    attempt: int,
    dns: Dns | None,
    logs: Path,
    node: NodeFacts,
    runtime_handler: str = "",
    needs_mount_flags: bool = False,
) -> SandboxSpec:
    spec = pod["spec"]
    pid = NamespaceMode.CONTAINER
    if spec.get("hostPID"):
        pid = NamespaceMode.NODE
    elif spec.get("shareProcessNamespace"):
        pid = NamespaceMode.POD
    security = spec.get("securityContext") or {}
    return SandboxSpec(
        pod_name=pods.name(pod),
        pod_namespace=pods.namespace(pod),
        pod_uid=pods.uid(pod),
        attempt=attempt,
        hostname="" if pods.is_host_network(pod) else hostname_of(pod, node.cluster_domain),
        log_directory=str(log_directory(logs, pod)),
        qos_class=qos.qos_class(pod),
        pod_resources=qos.pod_resources(pod),
        dns=dns,
        port_mappings=() if pods.is_host_network(pod) else _port_mappings(pod),
        labels=(pod["metadata"].get("labels") or {}) | _pod_labels(pod),
        annotations=pods.annotations(pod) | {OWNER: node.owner},
        network=NamespaceMode.NODE if pods.is_host_network(pod) else NamespaceMode.POD,
        pid=pid,
        ipc=NamespaceMode.NODE if spec.get("hostIPC") else NamespaceMode.POD,
        sysctls={item["name"]: item["value"] for item in security.get("sysctls") or ()},
        security=sandbox_security(pod, node.seccomp_root),
        runtime_handler=runtime_handler,
        needs_mount_flags=needs_mount_flags,
    )


def container_spec(
    pod: pods.Pod,
    container: pods.ContainerDict,
    restart_count: int,
    image: Image,
    env: Sequence[tuple[str, str]],
    mounts: Sequence[Mount],
    node: NodeFacts,
    devices: Sequence[Device] = (),
    target_id: str = "",
) -> ContainerSpec:
    """Return what to make of a container; ConfigError where it must not be made."""
    check_non_root(pod, container, image)
    variables = dict(env)
    return ContainerSpec(
        name=container["name"],
        attempt=restart_count,
        image=container.get("image", ""),
        image_id=image.id,
        command=expand_all(container.get("command") or (), variables),
        args=expand_all(container.get("args") or (), variables),
        working_dir=container.get("workingDir") or "",
        env=tuple(env),
        mounts=tuple(mounts),
        block_devices=tuple(devices),
        labels=_pod_labels(pod) | {CONTAINER_NAME_LABEL: container["name"]},
        annotations={
            OWNER: node.owner,
            CONTAINER_HASH: pods.container_hash(container),
            RESTART_COUNT: str(restart_count),
            TERMINATION_MESSAGE_PATH: container.get("terminationMessagePath") or TERMINATION_LOG,
            TERMINATION_MESSAGE_POLICY: container.get("terminationMessagePolicy") or "File",
            POD_TERMINATION_GRACE_PERIOD: str(int(pods.grace_period_s(pod))),
        },
        log_path=log_path(container["name"], restart_count),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        resources=qos.container_resources(pod, container, node.memory_bytes),
        security=container_security(pod, container, node.seccomp_root),
        target_id=target_id,
        is_finite=_is_finite(pod, container),
    )


def _is_finite(pod: pods.Pod, container: pods.ContainerDict) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    of_job = any(owner["kind"] == "Job" for owner in owners)
    return of_job or (container in pods.init_containers(pod) and not pods.is_sidecar(container))


def _pod_labels(pod: pods.Pod) -> dict[str, str]:
    return {POD_NAME_LABEL: pods.name(pod), POD_NAMESPACE_LABEL: pods.namespace(pod), POD_UID_LABEL: pods.uid(pod)}


def _port_mappings(pod: pods.Pod) -> tuple[PortMapping, ...]:
    ports = [port for item in pods.all_containers(pod) for port in item.get("ports") or () if port.get("hostPort")]
    return tuple(
        PortMapping(port.get("protocol") or "TCP", port["containerPort"], port["hostPort"], port.get("hostIP") or "")
        for port in ports
    )
