"""What a kubelet needs of a container runtime: one interface, two drivers.

`actors.kubelet.containerd.driver.ContainerdDriver(setup, node)` implements it over the CRI;
`actors.kubelet.simulated.driver.SimulatedDriver` needs nothing but Python. The kubelet speaks of pods and containers
only in these records, so that no decision of it knows gRPC.

Ids are the runtime's own, opaque and without a scheme. Times are nanoseconds since the epoch, 0 for "not yet". Every
call may raise a `RuntimeFault`; after any other exception the driver is broken and the kubelet crashes. A call that the
caller cancelled, or that timed out, may have happened: the next `list` tells.

What can go wrong: the runtime is away (`RuntimeUnreachable`: the node turns NotReady, work is tried again), the object
is gone (`NotInRuntime`: somebody removed it), the runtime refused (`RuntimeRefused`: say so in the pod's status), or an
image can't be had (`ImagePullFailed`).
"""

import enum
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from actors.kubelet.faults import (
    ExecTimeout,
    ImagePullFailed,
    NotInRuntime,
    RuntimeFault,
    RuntimeRefused,
    RuntimeUnreachable,
)
from actors.kubelet.measure import Durations, Operations
from actors.kubelet.streaming.process import Streams

# What a driver raises is part of its interface; it has a module of its own because streams raise it, too.
__all__ = ["ExecTimeout", "ImagePullFailed", "NotInRuntime", "RuntimeFault", "RuntimeRefused", "RuntimeUnreachable"]

# Labels on sandboxes and containers, and annotations on containers, are those of Kubernetes' own kubelet, so that
# crictl and its kin understand them. The annotations make a restarted kubelet able to adopt what runs.
POD_NAME_LABEL = "io.kubernetes.pod.name"
POD_NAMESPACE_LABEL = "io.kubernetes.pod.namespace"
POD_UID_LABEL = "io.kubernetes.pod.uid"
CONTAINER_NAME_LABEL = "io.kubernetes.container.name"

CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
TERMINATION_MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
POD_TERMINATION_GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
OWNER = "kubus.dev/owner"  # which kubelet made it: a containerd that was there before may serve others too


class ContainerState(enum.Enum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


class NamespaceMode(enum.Enum):
    """Whose namespace a container joins: the pod's, its own, or the node's."""

    POD = "pod"
    CONTAINER = "container"
    NODE = "node"


class Propagation(enum.Enum):
    PRIVATE = "private"
    HOST_TO_CONTAINER = "host-to-container"
    BIDIRECTIONAL = "bidirectional"


# -- what shall be ----------------------------------------------------------------------------------------------------


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


# -- what is ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodSandbox:
    """A sandbox as `list` shows it."""

    id: str
    pod_uid: str
    pod_name: str
    pod_namespace: str
    attempt: int
    ready: bool
    created_ns: int
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """A sandbox in full: `ips` is empty with hostNetwork, and when the network was torn down."""

    sandbox: PodSandbox
    ips: Sequence[str] = ()
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A container as `list` shows it; exit code and times need `container_status`."""

    id: str
    sandbox_id: str
    pod_uid: str
    pod_name: str
    pod_namespace: str
    name: str
    attempt: int
    state: ContainerState
    image: str
    image_id: str
    created_ns: int
    annotations: Mapping[str, str] = field(default_factory=dict)


OOM_KILLED = "OOMKilled"  # the `reason` of a container in which the kernel killed a process for want of memory


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container in full. `reason` is the runtime's word, such as Completed, Error, OOM_KILLED, StartError."""

    container: Container
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    log_path: str = ""  # absolute
    image_ref: str = ""  # the digest reference for `imageID`
    user: tuple[int, int, tuple[int, ...]] | None = None  # uid, gid, supplemental groups, where the runtime tells


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """Every sandbox and container on the node, dead ones too, as of one moment."""

    sandboxes: Sequence[PodSandbox]
    containers: Sequence[Container]


class EventKind(enum.Enum):
    STARTED = "started"
    EXITED = "exited"
    OOM = "oom"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """A hint that something changed. `id` is of a container or a sandbox; the truth is what `list` then says, which may
    lag a few milliseconds behind the event."""

    kind: EventKind
    id: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    tags: Sequence[str]
    digests: Sequence[str]
    size_bytes: int
    user: str = ""  # the image's default user, for runAsNonRoot: a uid or a name, empty means root
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class RuntimeVersion:
    name: str  # "containerd"
    version: str  # "1.6.20"


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    runtime_ready: bool
    network_ready: bool
    message: str = ""  # why not


@dataclass(frozen=True, slots=True)
class ContainerStats:
    id: str
    cpu_ns: int  # used since the start
    memory_bytes: int  # the working set
    rootfs_bytes: int = 0


class RuntimeDriver(Protocol):
    """One node's container runtime. Calls may overlap; the driver bounds nothing, the kubelet does."""

    operations: Operations  # what was asked of it
    cgroup_durations: Durations  # of what was done to pods' cgroups

    @property
    def streams(self) -> Streams:
        """Processes with their stdio, and where pods' networks are."""

    def cgroup_of(self, pod_uid: str) -> str:
        """Return a pod's cgroup, as its path below the root of each hierarchy."""

    async def open(self) -> None:
        """Connect. Returns also when the runtime is not there yet: then calls raise RuntimeUnreachable until it is."""

    async def close(self) -> None:
        """Let go of connections; containers go on."""

    async def version(self) -> RuntimeVersion: ...

    async def status(self) -> RuntimeStatus: ...

    async def ensure_network(self, pod_cidrs: Sequence[str]) -> None:
        """Make the pod network of this node, or find it there. Idempotent; returns when sandboxes can get addresses."""

    async def list(self) -> RuntimeState: ...

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        """Make and start a sandbox with its network; returns its id. On failure nothing is left that `list` hides."""

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus: ...

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill its containers, give its address back. Idempotent; a sandbox that is gone is stopped."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove it with its containers. Idempotent."""

    async def create_container(self, sandbox_id: str, spec: ContainerSpec) -> str: ...

    async def start_container(self, container_id: str) -> None: ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def stop_container(self, container_id: str, grace_s: float, signal: str = "") -> None:
        """`signal`, else the image's, else SIGTERM; SIGKILL after the grace. Returns when it is dead. Idempotent."""

    async def remove_container(self, container_id: str) -> None:
        """Remove a container and its record; its log files are the kubelet's. Idempotent."""

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        """Resize a running container in place."""

    async def resize_pod(self, pod_uid: str, resources: Resources) -> None:
        """Set the bounds of a running pod as a whole."""

    async def reopen_log(self, container_id: str) -> None:
        """Open the log path anew, after the kubelet renamed the file away."""

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command to its end. ExecTimeout kills it; `timeout_s` 0 means none."""

    async def image_status(self, reference: str) -> Image | None: ...

    async def pull_image(self, reference: str, auth: ImageAuth | None = None) -> str:
        """Fetch an image; returns its id. Raises ImagePullFailed."""

    async def images(self) -> Sequence[Image]: ...

    async def remove_image(self, image_id: str) -> None: ...

    async def image_layers(self, image_id: str, key: str) -> Sequence[str]:
        """Return the folders that make up an image's content, the uppermost first. They stay until the key is released.
        Idempotent: a key that is in use keeps what it has."""

    async def release_image_layers(self, key: str) -> None:
        """Idempotent."""

    async def stats(self) -> Sequence[ContainerStats]: ...

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        """Subscribe; when this returns, the subscription is in force, so subscribe first and list then. The iterator
        ends with RuntimeUnreachable when the runtime goes away: subscribe and list again. `aclose` it when done."""
        ...
