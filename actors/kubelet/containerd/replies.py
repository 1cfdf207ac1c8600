"""CRI messages as the kubelet's records. Pure; `requests` is the way there.

containerd's events are decoded here too: an `Any` whose type URL's last part names the message.
"""

from google.protobuf.message import DecodeError

from actors.kubelet.containerd.faults import never_ran
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.containerd.proto import events_pb2, task_events_pb2
from actors.kubelet.containerd.requests import REQUESTED_IMAGE
from actors.kubelet.runtime import (
    POD_NAME_LABEL,
    POD_NAMESPACE_LABEL,
    POD_UID_LABEL,
    Container,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    EventKind,
    Image,
    PodSandbox,
    RuntimeEvent,
    RuntimeState,
    RuntimeStatus,
    SandboxStatus,
)

_STATE = {
    cri.CONTAINER_CREATED: ContainerState.CREATED,
    cri.CONTAINER_RUNNING: ContainerState.RUNNING,
    cri.CONTAINER_EXITED: ContainerState.EXITED,
}


def pod_sandbox(message: cri.PodSandbox | cri.PodSandboxStatus) -> PodSandbox:
    return PodSandbox(
        id=message.id,
        pod_uid=message.metadata.uid,
        pod_name=message.metadata.name,
        pod_namespace=message.metadata.namespace,
        attempt=message.metadata.attempt,
        ready=message.state == cri.SANDBOX_READY,
        created_ns=message.created_at,
        annotations=dict(message.annotations),
    )


def sandbox_status(message: cri.PodSandboxStatus) -> SandboxStatus:
    ips = [message.network.ip, *(extra.ip for extra in message.network.additional_ips)]
    host_network = message.linux.namespaces.options.network == cri.NODE
    return SandboxStatus(
        sandbox=pod_sandbox(message),
        ips=() if host_network else tuple(ip for ip in ips if ip),
        host_network=host_network,
    )


def container(message: cri.Container) -> Container:
    return Container(
        id=message.id,
        sandbox_id=message.pod_sandbox_id,
        pod_uid=message.labels.get(POD_UID_LABEL, ""),
        pod_name=message.labels.get(POD_NAME_LABEL, ""),
        pod_namespace=message.labels.get(POD_NAMESPACE_LABEL, ""),
        name=message.metadata.name,
        attempt=message.metadata.attempt,
        state=_STATE.get(message.state, ContainerState.UNKNOWN),
        image=message.image.annotations.get(REQUESTED_IMAGE) or message.image.image,
        image_id=message.image_ref,
        created_ns=message.created_at,
        annotations=dict(message.annotations),
    )


def runtime_state(sandboxes: cri.ListPodSandboxResponse, containers: cri.ListContainersResponse) -> RuntimeState:
    return RuntimeState(
        sandboxes=[pod_sandbox(item) for item in sandboxes.items],
        containers=[container(item) for item in containers.containers],
    )


def container_status(message: cri.ContainerStatus, sandbox_id: str) -> ContainerStatus:
    known = cri.Container(
        id=message.id,
        pod_sandbox_id=sandbox_id,
        metadata=message.metadata,
        image=message.image,
        image_ref=message.image_id or message.image_ref,
        state=message.state,
        created_at=message.created_at,
        labels=dict(message.labels),
        annotations=dict(message.annotations),
    )
    if never_ran(message.reason, message.message):
        known.state = cri.CONTAINER_CREATED
    return ContainerStatus(
        container=container(known),
        exit_code=message.exit_code,
        reason=message.reason,
        message=message.message,
        started_ns=max(0, message.started_at),
        finished_ns=max(0, message.finished_at),
        log_path=message.log_path,
        image_ref=message.image_ref,
        user=_user(message),
    )


def _user(message: cri.ContainerStatus) -> tuple[int, int, tuple[int, ...]] | None:
    if not message.HasField("user"):
        return None
    user = message.user.linux
    return user.uid, user.gid, tuple(user.supplemental_groups)


def image(message: cri.Image) -> Image:
    user = str(message.uid.value) if message.HasField("uid") else message.username
    return Image(
        id=message.id,
        tags=tuple(message.repo_tags),
        digests=tuple(message.repo_digests),
        size_bytes=message.size,
        user=user,
        pinned=message.pinned,
    )


def runtime_status(message: cri.RuntimeStatus) -> RuntimeStatus:
    by_type = {condition.type: condition for condition in message.conditions}
    bad = [f"{item.type}: {item.reason}: {item.message}" for item in message.conditions if not item.status]
    return RuntimeStatus(
        runtime_ready="RuntimeReady" in by_type and by_type["RuntimeReady"].status,
        network_ready="NetworkReady" in by_type and by_type["NetworkReady"].status,
        message="; ".join(bad),
    )


def container_stats(message: cri.ContainerStats) -> ContainerStats:
    return ContainerStats(
        id=message.attributes.id,
        cpu_ns=message.cpu.usage_core_nano_seconds.value,
        memory_bytes=message.memory.working_set_bytes.value,
        rootfs_bytes=message.writable_layer.used_bytes.value,
    )


def runtime_event(envelope: events_pb2.Envelope) -> RuntimeEvent | None:
    """Return what an event says of a container; None for one that says nothing, such as the end of an exec."""
    kind = envelope.event.type_url.rpartition("/")[2]
    payload = envelope.event.value
    try:
        if kind == "containerd.events.TaskExit":
            exited = task_events_pb2.TaskExit.FromString(payload)
            if exited.id not in ("", exited.container_id):
                return None
            return RuntimeEvent(EventKind.EXITED, exited.container_id, exited.exit_status)
        if kind == "containerd.events.TaskStart":
            return RuntimeEvent(EventKind.STARTED, task_events_pb2.TaskStart.FromString(payload).container_id)
        if kind == "containerd.events.TaskOOM":
            return RuntimeEvent(EventKind.OOM, task_events_pb2.TaskOOM.FromString(payload).container_id)
        if kind == "containerd.events.ContainerDelete":
            return RuntimeEvent(EventKind.REMOVED, task_events_pb2.ContainerDelete.FromString(payload).id)
    except DecodeError:
        return None  # an event is a hint; one that can't be read is worth no more than none
    return None
