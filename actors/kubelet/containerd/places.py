"""Where a node's containerd keeps its things: one place decides, the child, the driver and the purge follow.

All below DATA/nodes/NODE/containerd, so that two clusters on a machine share nothing. The exception is forced: a Unix
socket's path has at most 107 bytes, so a deep data dir moves the sockets to /run/kubus-INSTANCE/NODE.

Neighbours: `config` renders these paths into containerd's TOML, `actors.cluster.purge` removes what is found there.
"""

from dataclasses import dataclass
from pathlib import Path

from actors.api.network import instance_id

SOCKET_PATH_MAX = 107  # sizeof(sockaddr_un.sun_path) - 1; a longer path can't be bound
LONGEST_SOCKET = "containerd.sock.ttrpc"  # containerd opens a second socket under the first one's name
SHORT_RUN = Path("/run")


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one node's containerd."""

    data_dir: Path
    node: str
    instance: str

    @property
    def home(self) -> Path:
        return self.data_dir / "nodes" / self.node / "containerd"

    @property
    def root(self) -> Path:
        """Images, snapshots and metadata: survives a reboot."""
        return self.home / "root"

    @property
    def state(self) -> Path:
        """Bundles, network namespaces and fifos of what runs."""
        return self.home / "state"

    @property
    def bundles(self) -> Path:
        """What each container is made of, in a folder of its id."""
        return self.state / "io.containerd.runtime.v2.task" / "k8s.io"

    def records_of(self, handler: str) -> Path:
        """What an OCI runtime remembers of its containers: below it a folder for containerd's namespace."""
        return self.state / handler

    @property
    def handlers(self) -> Path:
        """Which OCI runtimes this node's containerd was given, and why."""
        return self.home / "handlers.json"

    @property
    def crun_script(self) -> Path:
        """Runs crun where something must be done for it (`crun_script`); shims remember this path."""
        return self.home / "crun"

    @property
    def crun_readonly(self) -> Path:
        """An empty file on which crun is mounted read-only while a kubelet runs."""
        return self.home / "crun-readonly"

    @property
    def sandboxes(self) -> Path:
        """A folder for each sandbox, named by its id."""
        return self.state / "io.containerd.grpc.v1.cri" / "sandboxes"

    @property
    def commands(self) -> Path:
        """FIFOs of commands that run in containers, a folder each."""
        return self.home / "commands"

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def pause_profile(self) -> Path:
        """The seccomp profile of pause containers."""
        return self.home / "pause-seccomp.json"

    @property
    def registry_hosts(self) -> Path:
        """Mirrors and certificates of registries, a folder each, as containerd's hosts.toml wants them."""
        return self.home / "certs.d"

    @property
    def cni_conf(self) -> Path:
        return self.data_dir / "nodes" / self.node / "cni" / "net.d"

    @property
    def cni_addresses(self) -> Path:
        """host-local's leases: a file for each address in use."""
        return self.data_dir / "nodes" / self.node / "cni" / "addresses"

    @property
    def images(self) -> Path:
        """Image archives that every node of this data dir is given."""
        return self.data_dir / "cache" / "images"

    @property
    def run(self) -> Path:
        """The folder of the sockets."""
        if len(str(self.home / LONGEST_SOCKET).encode()) <= SOCKET_PATH_MAX:
            return self.home
        return self.short_run / self.node

    @property
    def short_run(self) -> Path:
        return SHORT_RUN / f"kubus-{self.instance}"

    @property
    def socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def cgroup(self) -> str:
        """The parent of the node's pods in every cgroup hierarchy."""
        return f"/kubus-{self.instance}/{self.node}"

    @property
    def trial_cgroup(self) -> str:
        """Of the container by which crun is tried."""
        return f"/kubus-trial-{self.instance}-{self.node}"


def places_of(data_dir: Path, node: str) -> Places:
    """Return the places of a node."""
    resolved = data_dir.resolve()
    return Places(resolved, node, instance_id(resolved))
