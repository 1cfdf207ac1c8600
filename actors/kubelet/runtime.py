"""What a kubelet needs of a container runtime: one interface, two drivers.

`actors.kubelet.containerd.driver.ContainerdDriver(setup, node)` implements it over the CRI;
`actors.kubelet.simulated.driver.SimulatedDriver` needs nothing but Python. The kubelet speaks of pods and containers
only in these records and those of `runtime_specs`, so that no decision of it knows gRPC.

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
from actors.kubelet.runtime_specs import (
    ContainerSecurity,
    ContainerSpec,
    Device,
    Dns,
    ImageAuth,
    Mount,
    NamespaceMode,
    PortMapping,
    Propagation,
    Resources,
    SandboxSpec,
    Seccomp,
)
from actors.kubelet.streaming.process import Streams

# What a driver is asked for and what it raises are parts of its interface, with modules of their own.
__all__ = [
    "ContainerSecurity",
    "ContainerSpec",
    "Device",
    "Dns",
    "ExecTimeout",
    "ImageAuth",
    "ImagePullFailed",
    "Mount",
    "NamespaceMode",
    "NotInRuntime",
    "PortMapping",
    "Propagation",
    "Resources",
    "RuntimeFault",
    "RuntimeRefused",
    "RuntimeUnreachable",
    "SandboxSpec",
    "Seccomp",
]

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
