"""A static pod's file: read, held to the shapes that the kubelet relies on, and filled in as an API server would have.

What comes from the API was validated there; nobody has looked at such a file before. So here is said, by types, what
the kubelet reads of a Pod. A file that does not fit is refused with the place of its fault, instead of ending the
kubelet of its node. Whatever else is in there, the API server judges as it is asked to make the pod's mirror.

Pure. Neighbour: `static_pods` looks for files, and runs what they ask for.
"""

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec

from actors.api import names
from actors.api.quantity import parse_quantity
from actors.kubelet import pod as pods
from actors.kubelet.pod import CONFIG_HASH, CONFIG_SOURCE, FILE

MAX_BYTES = 1024 * 1024  # of a file; more is no Pod that an API server would take

Text = Annotated[str, msgspec.Meta(min_length=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Quantities = dict[str, str | int | float]

OF_THE_API = ("secret", "configMap", "persistentVolumeClaim", "ephemeral")  # volumes
OF_THE_API_TOO = ("secret", "configMap", "serviceAccountToken", "clusterTrustBundle", "podCertificate")  # projected
ENV_OF_THE_API = ("secretKeyRef", "configMapKeyRef")


class BadManifest(Exception):
    """A file holds no Pod that can run here. The message says why."""


class Resources(msgspec.Struct):
    limits: Quantities | None = None
    requests: Quantities | None = None


class ContainerPort(msgspec.Struct, rename="camel"):
    container_port: Port
    host_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    name: str | None = None
    protocol: str | None = None


class FieldRef(msgspec.Struct, rename="camel"):
    field_path: Text


class ResourceRef(msgspec.Struct, rename="camel"):
    resource: Text
    container_name: str | None = None
    divisor: str | int | None = None


class FileKey(msgspec.Struct, rename="camel"):
    volume_name: Text
    path: Text
    key: Text
    optional: bool | None = None


class ValueFrom(msgspec.Struct, rename="camel"):
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceRef | None = None
    file_key_ref: FileKey | None = None


class Variable(msgspec.Struct, rename="camel"):
    name: Text
    value: str | None = None
    value_from: ValueFrom | None = None


class Header(msgspec.Struct):
    name: str
    value: str


class Exec(msgspec.Struct):
    command: list[str] | None = None


class HttpGet(msgspec.Struct, rename="camel"):
    port: Port | Text
    path: str | None = None
    host: str | None = None
    scheme: str | None = None
    http_headers: list[Header] | None = None


class TcpSocket(msgspec.Struct):
    port: Port | Text
    host: str | None = None


class Grpc(msgspec.Struct):
    port: Port
    service: str | None = None


class Sleep(msgspec.Struct):
    seconds: Natural


class Handler(msgspec.Struct, rename="camel"):
    exec: Exec | None = None
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    sleep: Sleep | None = None


class Probe(Handler, rename="camel"):
    initial_delay_seconds: Natural | None = None
    period_seconds: Natural | None = None
    timeout_seconds: Natural | None = None
    success_threshold: Natural | None = None
    failure_threshold: Natural | None = None
    termination_grace_period_seconds: Natural | None = None


class Lifecycle(msgspec.Struct, rename="camel"):
    post_start: Handler | None = None
    pre_stop: Handler | None = None
    stop_signal: str | None = None


class VolumeMount(msgspec.Struct, rename="camel"):
    name: Text
    mount_path: Text
    sub_path: str | None = None
    sub_path_expr: str | None = None
    read_only: bool | None = None
    recursive_read_only: str | None = None
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = None


class VolumeDevice(msgspec.Struct, rename="camel"):
    name: Text
    device_path: Text


class Capabilities(msgspec.Struct):
    add: list[str] | None = None
    drop: list[str] | None = None


class Profile(msgspec.Struct, rename="camel"):
    type: str
    localhost_profile: str | None = None


class Security(msgspec.Struct, rename="camel"):
    """Of a container, or of a pod."""

    run_as_user: Natural | None = None
    run_as_group: Natural | None = None
    run_as_non_root: bool | None = None
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    proc_mount: str | None = None
    capabilities: Capabilities | None = None
    seccomp_profile: Profile | None = None
    app_armor_profile: Profile | None = None
    fs_group: Natural | None = None
    fs_group_change_policy: str | None = None
    supplemental_groups: list[Natural] | None = None
    supplemental_groups_policy: str | None = None
    sysctls: list[Header] | None = None


class Container(msgspec.Struct, rename="camel"):
    name: str
    image: Text
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str | None = None
    env: list[Variable] | None = None
    env_from: list[dict[str, Any]] | None = None
    ports: list[ContainerPort] | None = None
    resources: Resources | None = None
    volume_mounts: list[VolumeMount] | None = None
    volume_devices: list[VolumeDevice] | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    lifecycle: Lifecycle | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    security_context: Security | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None


class HostPath(msgspec.Struct):
    path: Text
    type: str | None = None


class EmptyDir(msgspec.Struct, rename="camel"):
    medium: str | None = None
    size_limit: str | int | None = None


class Projected(msgspec.Struct, rename="camel"):
    sources: list[dict[str, dict[str, Any]]] | None = None
    default_mode: Natural | None = None


class DownwardItem(msgspec.Struct, rename="camel"):
    path: Text
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceRef | None = None
    mode: Natural | None = None


class Downward(msgspec.Struct, rename="camel"):
    items: list[DownwardItem] | None = None
    default_mode: Natural | None = None


class Volume(msgspec.Struct, rename="camel"):
    name: str
    host_path: HostPath | None = None
    empty_dir: EmptyDir | None = None
    projected: Projected | None = None
    downward_api: Downward | None = msgspec.field(default=None, name="downwardAPI")
    image: dict[str, str] | None = None


class Alias(msgspec.Struct):
    ip: Text
    hostnames: list[str] | None = None


class DnsOption(msgspec.Struct):
    name: str | None = None
    value: str | None = None


class DnsConfig(msgspec.Struct):
    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[DnsOption] | None = None


class ReadinessGate(msgspec.Struct, rename="camel"):
    condition_type: Text


class Spec(msgspec.Struct, rename="camel"):
    containers: Annotated[list[Container], msgspec.Meta(min_length=1)]
    init_containers: list[Container] | None = None
    volumes: list[Volume] | None = None
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    termination_grace_period_seconds: Natural | None = None
    active_deadline_seconds: Natural | None = None
    node_selector: dict[str, str] | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    host_users: bool | None = None
    share_process_namespace: bool | None = None
    hostname: str | None = None
    hostname_override: str | None = None
    subdomain: str | None = None
    set_hostname_as_fqdn: bool | None = msgspec.field(default=None, name="setHostnameAsFQDN")
    host_aliases: list[Alias] | None = None
    dns_policy: str | None = None
    dns_config: DnsConfig | None = None
    enable_service_links: bool | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    security_context: Security | None = None
    image_pull_secrets: list[dict[str, str]] | None = None
    tolerations: list[dict[str, Any]] | None = None
    readiness_gates: list[ReadinessGate] | None = None
    overhead: Quantities | None = None
    resources: Resources | None = None


class Metadata(msgspec.Struct):
    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Manifest(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec


def read_manifest(data: bytes, path: str, node: str) -> pods.Pod:
    """Return the pod of a file, named after its node, with the hash of the file as its uid."""
    if len(data) > MAX_BYTES:
        raise BadManifest(f"{path} has more than {MAX_BYTES} bytes")
    try:
        pod = msgspec.yaml.decode(data)
        shape = msgspec.convert(pod, Manifest)
    except msgspec.ValidationError as error:
        raise BadManifest(f"{path} holds no v1 Pod: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadManifest(f"{path} is neither YAML nor JSON: {error}") from error
    if (shape.api_version, shape.kind) != ("v1", "Pod"):
        raise BadManifest(f"{path} holds no v1 Pod, but {shape.api_version} {shape.kind}")
    if wrong := next(chain(_faults(shape, node), _references(pod)), None):
        raise BadManifest(f"{path} holds a Pod that no node can run: {wrong}")
    metadata, spec = dict(pod["metadata"]), dict(pod["spec"])
    digest = hashlib.md5(f"{node}\0{path}\0".encode() + data, usedforsecurity=False).hexdigest()
    metadata |= {
        "name": f"{metadata['name']}-{node}",
        "namespace": metadata.get("namespace") or "default",
        "uid": digest,
        "annotations": {**(metadata.get("annotations") or {}), CONFIG_SOURCE: FILE, CONFIG_HASH: digest},
    }
    _default(spec, node)
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}}


def _faults(shape: Manifest, node: str) -> Iterator[str]:
    """Give what is wrong beyond types: names, which become folders, and amounts."""
    for why in names.dns_subdomain(f"{shape.metadata.name}-{node}"):
        yield f"metadata.name: {why}"
    for why in names.dns_label(shape.metadata.namespace or "default"):
        yield f"metadata.namespace: {why}"
    spec = shape.spec
    containers = [*spec.containers, *(spec.init_containers or ())]
    for item in (*containers, *(spec.volumes or ())):
        for why in names.dns_label(item.name):
            yield f"{item.name!r}: {why}"
    if len({item.name for item in containers}) < len(containers):
        yield "two containers have the same name"
    asked = [part for owner in (*containers, spec) if (part := owner.resources) is not None]
    limits = {volume.name: volume.empty_dir.size_limit or 0 for volume in spec.volumes or () if volume.empty_dir}
    amounts = [limits, spec.overhead, *(listed for part in asked for listed in (part.limits, part.requests))]
    for name, amount in (pair for listed in amounts for pair in (listed or {}).items()):
        try:
            parse_quantity(amount)
        except ValueError as error:
            yield f"{name}: {error}"


def _references(pod: pods.Pod) -> Iterator[str]:
    """Give what the pod names of the API, without which it has to run."""
    for where in _named(pod):
        yield f"{where} refers to an object of the API"


def _named(pod: pods.Pod) -> Iterator[str]:
    """Give what the pod names of the API: "Create static Pods" of Kubernetes' documentation."""
    spec = pod["spec"]
    if spec.get("ephemeralContainers"):
        yield "ephemeralContainers"
    if spec.get("resourceClaims"):
        yield "resourceClaims"
    for volume in spec.get("volumes") or ():
        yield from (f"volumes[{volume['name']}].{source}" for source in OF_THE_API if source in volume)
        for part in (volume.get("projected") or {}).get("sources") or ():
            yield from (f"volumes[{volume['name']}].projected.{kind}" for kind in OF_THE_API_TOO if kind in part)
    for container in pods.all_containers(pod):
        where = f"containers[{container['name']}]"
        if container.get("envFrom"):
            yield f"{where}.envFrom"
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            yield from (f"{where}.env[{variable['name']}].{kind}" for kind in ENV_OF_THE_API if kind in source)


def _default(spec: dict[str, Any], node: str) -> None:
    """Fill in what the API server would have, as far as a node cares."""
    spec["nodeName"] = node
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", pods.DEFAULT_GRACE_PERIOD_S)
    tolerations = list(spec.get("tolerations") or ())
    spec["tolerations"] = [*tolerations, {"operator": "Exists", "effect": "NoExecute"}]
    spec["priority"] = spec.get("priority") or 0
    for name in ("serviceAccountName", "serviceAccount", "affinity"):
        spec.pop(name, None)
