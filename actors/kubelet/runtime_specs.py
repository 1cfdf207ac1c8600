"""What a container runtime is asked to make: sandboxes and containers, with all that they are made of.

Neighbours: `container_spec` makes these records of a pod; `runtime` is the interface that takes them.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class NamespaceMode(enum.Enum):
    """Whose namespace a container joins: the pod's, its own, or the node's."""

    POD = "pod"
    CONTAINER = "container"
    NODE = "node"


class Propagation(enum.Enum):
    PRIVATE = "private"
    HOST_TO_CONTAINER = "host-to-container"
    BIDIRECTIONAL = "bidirectional"


@dataclass(frozen=True, slots=True)
class Resources:
    """Linux resource parameters of a container, or of a whole pod; 0 means no limit, or the kernel's default."""

    cpu_shares: int = 0  # cgroup v1 units, 1024 per CPU; a v2 driver converts
    cpu_quota_us: int = 0  # per cpu_period_us
    cpu_period_us: int = 100_000
    memory_limit_bytes: int = 0
    oom_score_adj: int = 0
    hugepage_limits: Mapping[str, int] = field(default_factory=dict)  # "2MB" -> bytes


@dataclass(frozen=True, slots=True)
class Mount:
    host_path: str
    container_path: str
    readonly: bool = False
    propagation: Propagation = Propagation.PRIVATE


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the node in a container; `permissions` are of r, w and m (mknod)."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class Seccomp:
    """`kind` is RuntimeDefault, Unconfined or Localhost; `path` is the profile's file for Localhost."""

    kind: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSecurity:
    """The effective security context: the container's over the pod's, as the kubelet merged them."""

    run_as_user: int | None = None  # None: as the image says
    run_as_group: int | None = None
    supplemental_groups: Sequence[int] = ()
    privileged: bool = False
    readonly_rootfs: bool = False
    no_new_privileges: bool = False  # allowPrivilegeEscalation: false
    add_capabilities: Sequence[str] = ()  # without the CAP_ prefix; "ALL" is possible
    drop_capabilities: Sequence[str] = ()
    seccomp: Seccomp | None = None  # None: Unconfined, the kubelet's default; of a sandbox, what its driver thinks fit
    apparmor: Seccomp | None = None
    masked_paths: Sequence[str] | None = None  # None: the runtime's default; (): none, for procMount Unmasked
    readonly_paths: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ImageAuth:
    """A registry's credentials out of an image pull secret."""

    username: str = ""
    password: str = ""
    auth: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""


@dataclass(frozen=True, slots=True)
class PortMapping:
    protocol: str  # TCP | UDP | SCTP
    container_port: int
    host_port: int
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Dns:
    servers: Sequence[str] = ()
    searches: Sequence[str] = ()
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A pod as the runtime shall see it. The driver derives the cgroup parent from uid, qos_class and pod_resources."""

    pod_name: str
    pod_namespace: str
    pod_uid: str
    attempt: int
    hostname: str
    log_directory: str  # absolute; containers' log paths are relative to it
    qos_class: str  # Guaranteed | Burstable | BestEffort
    pod_resources: Resources = Resources()
    dns: Dns | None = None  # None: the runtime copies the node's resolv.conf
    port_mappings: Sequence[PortMapping] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    network: NamespaceMode = NamespaceMode.POD  # NODE for hostNetwork
    pid: NamespaceMode = NamespaceMode.CONTAINER  # POD for shareProcessNamespace, NODE for hostPID
    ipc: NamespaceMode = NamespaceMode.POD
    sysctls: Mapping[str, str] = field(default_factory=dict)
    security: ContainerSecurity = ContainerSecurity()  # of the pause process; privileged if any container is
    runtime_handler: str = ""
    needs_mount_flags: bool = False  # a volume is mounted here with noexec, nosuid or nodev, which must hold inside


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    name: str
    attempt: int  # the restart count
    image: str  # the reference that the pod asked for
    image_id: str  # what `pull_image` or `image_status` resolved it to
    command: Sequence[str] = ()  # empty: the image's entrypoint
    args: Sequence[str] = ()
    working_dir: str = ""
    env: Sequence[tuple[str, str]] = ()
    mounts: Sequence[Mount] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""  # relative to the sandbox's log_directory, as "web/0.log"
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: Resources = Resources()
    security: ContainerSecurity = ContainerSecurity()
    devices: Sequence[str] = ()  # CDI names
    block_devices: Sequence[Device] = ()
    target_id: str = ""  # a container whose processes it sees; empty: as its sandbox has it
    is_finite: bool = False  # ends by itself, as init containers do: what a simulated container goes by
