"""A static pod's file: read, held to the shapes that the kubelet relies on, and filled in as an API server would have.

What comes from the API was validated there; nobody has looked at such a file before. So here is said, by types, what
the kubelet reads of a Pod. A file that does not fit is refused with the place of its fault, instead of ending the
kubelet of its node. Whatever else is in there, the API server judges as it is asked to make the pod's mirror.

Pure. Neighbour: `static_pods` looks for files, and runs what they ask for.
"""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from actors.api import names
from actors.api.quantity import parse_quantity
from actors.kubelet import pod as pods
from actors.kubelet.pod import CONFIG_HASH, CONFIG_SOURCE, FILE

MAX_BYTES = 1024 * 1024  # of a file; more is no Pod that an API server would take

Text = Annotated[str, Meta(min_length=1)]
Fields = dict[str, Any]
Quantities = dict[str, str | int | float]


class BadManifest(Exception):
    """A file holds no Pod that can run here. The message says why."""


class _Metadata(Struct):
    name: Text
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Named(Struct):
    name: Text


class _Port(Struct, rename="camel"):
    container_port: int
    host_port: int | None = None
    name: str | None = None
    protocol: str | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")


class _VolumeMount(Struct, rename="camel"):
    name: Text
    mount_path: Text
    sub_path: str | None = None
    sub_path_expr: str | None = None


class _VolumeDevice(Struct, rename="camel"):
    name: Text
    device_path: Text


class _Variable(Struct, rename="camel"):
    name: Text
    value: str | None = None
    value_from: dict[str, Fields] | None = None


class _Resources(Struct):
    limits: Quantities | None = None
    requests: Quantities | None = None


class _Probe(Struct, rename="camel"):
    http_get: Fields | None = None
    tcp_socket: Fields | None = None
    exec: Fields | None = None
    grpc: Fields | None = None
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    success_threshold: int | None = None
    failure_threshold: int | None = None
    termination_grace_period_seconds: int | None = None


class _Container(Struct, rename="camel"):
    name: Text
    image: Text
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str | None = None
    env: list[_Variable] | None = None
    env_from: list[dict[str, Fields | str]] | None = None
    ports: list[_Port] | None = None
    resources: _Resources | None = None
    restart_policy: str | None = None
    volume_mounts: list[_VolumeMount] | None = None
    volume_devices: list[_VolumeDevice] | None = None
    liveness_probe: _Probe | None = None
    readiness_probe: _Probe | None = None
    startup_probe: _Probe | None = None
    lifecycle: dict[str, Fields | str] | None = None
    security_context: Fields | None = None
    image_pull_policy: str | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None


class _HostAlias(Struct):
    ip: Text
    hostnames: list[str] | None = None


class _Spec(Struct, rename="camel"):
    containers: Annotated[list[_Container], Meta(min_length=1)]
    init_containers: list[_Container] | None = None
    volumes: list[_Named] | None = None
    image_pull_secrets: list[_Named] | None = None
    host_aliases: list[_HostAlias] | None = None
    security_context: Fields | None = None
    resources: _Resources | None = None
    overhead: Quantities | None = None
    dns_config: Fields | None = None
    tolerations: list[Fields] | None = None
    restart_policy: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    priority: int | None = None
    active_deadline_seconds: int | None = None
    termination_grace_period_seconds: int | None = None
    host_network: bool | None = None
    host_users: bool | None = msgspec.field(default=None, name="hostUsers")
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")


class _Manifest(Struct, rename="camel"):
    api_version: str
    kind: str
    metadata: _Metadata
    spec: _Spec


def read_manifest(data: bytes, path: str, node: str) -> pods.Pod:
    """Return the pod of a file, named after its node, with the hash of the file as its uid."""
    if len(data) > MAX_BYTES:
        raise BadManifest(f"{path} has more than {MAX_BYTES} bytes")
    try:
        pod = msgspec.yaml.decode(data)
        shape = msgspec.convert(pod, _Manifest)
    except msgspec.ValidationError as error:
        raise BadManifest(f"{path} holds no v1 Pod: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadManifest(f"{path} is neither YAML nor JSON: {error}") from error
    if (shape.api_version, shape.kind) != ("v1", "Pod"):
        raise BadManifest(f"{path} holds no v1 Pod, but {shape.api_version} {shape.kind}")
    if wrong := next(_faults(shape, node), None):
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


def _faults(shape: _Manifest, node: str) -> Iterator[str]:
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
    amounts = [spec.overhead, *(listed for part in asked for listed in (part.limits, part.requests))]
    for name, amount in (pair for listed in amounts for pair in (listed or {}).items()):
        try:
            parse_quantity(amount)
        except ValueError as error:
            yield f"{name}: {error}"


def _default(spec: dict[str, Any], node: str) -> None:
    """Fill in what the API server would have, as far as a node cares."""
    spec["nodeName"] = node
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", pods.DEFAULT_GRACE_PERIOD_S)
    tolerations = list(spec.get("tolerations") or ())
    spec["tolerations"] = [*tolerations, {"operator": "Exists", "effect": "NoExecute"}]
    spec["priority"] = spec.get("priority") or 0
    for name in ("serviceAccountName", "serviceAccount"):
        spec.pop(name, None)
