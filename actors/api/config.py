"""A cluster's config: what a file in `configs/` may say, with its defaults.

`runtime.config` loads it from YAML and names file, key and what was expected where a file is wrong. `actors.cluster`
turns it into child specs; an actor gets the whole of it in `Setup.settings["cluster"]`, its node's part under `"node"`.
"""

from typing import Any, Literal

import msgspec


class NetworkConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    node_ports: str = "30000-32767"
    domain: str = "cluster.local"
    node_cidr_mask: int = 24  # prefix length of the pod subnet that each node gets
    bridge: str = ""  # of the pods on a node; empty: a name made from the data dir, so that two clusters differ
    masquerade: bool = True  # pods that talk beyond the pod network use the node's address


class OidcConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An OpenID Connect provider whose ID tokens are good here. See Kubernetes' documentation for what claims mean."""

    issuer_url: str  # https; the same text as the tokens' claim `iss`
    client_id: str  # the tokens' audience
    username_claim: str = "sub"
    username_prefix: str = ""  # empty: the issuer's URL and a #, but nothing for `email`; "-": nothing
    groups_claim: str = ""  # empty: tokens say nothing of groups
    groups_prefix: str = ""
    required_claims: dict[str, str] = {}
    signing_algs: list[str] = msgspec.field(default_factory=lambda: ["RS256"])
    ca_file: str = ""  # of the authority that the provider's certificate is checked with; empty: the system's


class AccessConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who comes in, or who may what, in Kubernetes' own form (apiserver.config.k8s.io), here or in a file."""

    config: dict[str, Any] = {}
    config_file: str = ""  # a relative path is looked for in the data dir


class AuditConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The audit log. The policy is given here, or as a file; it is Kubernetes' audit.k8s.io/v1 Policy either way."""

    policy: dict[str, Any] = {}
    policy_file: str = ""  # a relative path is looked for in the data dir
    log_file: str = ""  # empty: logs/audit.log in the data dir, where a relative path is looked for too
    max_size_mb: int = 100  # of one file; 0: no limit. Older files stay beside it, as audit-TIME.log
    max_backups: int = 10  # of those; 0: all
    max_age_days: int = 30  # of those; 0: for ever


class ApiServerConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    bind: str = "127.0.0.1"
    port: int = 6443  # of the first on a machine, the others have the next ones; 0: any, the kubeconfig says which
    extra_names: list[str] = []  # DNS names and addresses that the serving certificate shall cover too
    oidc: OidcConfig | None = None
    authentication: AccessConfig | None = None  # an AuthenticationConfiguration, in the place of `oidc`
    authorization: AccessConfig | None = None  # an AuthorizationConfiguration; without, Node and then RBAC
    audit: AuditConfig | None = None
    processes: int = 1  # of each API server, which share its port; each costs some 40 MB and a watch of the state
    shutdown_delay_s: float = 0.0  # between no longer being ready and taking no more requests, for load balancers
    max_requests_inflight: int = 400  # seats that priority levels share, in all processes of an API server
    event_ttl_s: int = 3600  # for which an Event stays after its last write


class BalancerConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The door in front of several API servers, on each node that has the role `balancer`."""

    bind: str = "127.0.0.1"
    port: int = 6443  # 0: any free port; the kubeconfig says which


class EtcdConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """etcd's own API over gRPC, in front of each state actor, for etcd's clients and tools."""

    bind: str = "127.0.0.1"
    port: int = 2379  # of the first state actor; the next ones take the ports after it. 0: any free one
    tls: bool = True  # clients need a certificate of pki/etcd/ca.crt, as pki/etcd/client.crt; without, loopback only
    progress_notify_s: float = 600.0  # how often an idle watch hears how far it is, if it wants to


class EtcdTlsConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Files in PEM; relative paths are looked for in the data dir."""

    ca: str = ""  # of the authority that etcd's certificates are checked with; empty: the system's
    cert: str = ""  # of the API server as a client; empty: none
    key: str = ""


class StateConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    segment_bytes: int = 16 * 1024 * 1024
    snapshot_every_bytes: int = 64 * 1024 * 1024  # log written since the last snapshot
    compact_every_s: int = 300
    initial_members: list[str] = []  # actors that found the group, as state@m1; empty: all there are. Others join it
    etcd: EtcdConfig | None = None
    backend: Literal["actor", "etcd"] = "actor"  # who keeps the objects: the state actors, or an etcd cluster
    endpoints: list[str] = []  # of that, as https://10.0.0.1:2379
    tls: EtcdTlsConfig | None = None  # for those of them that are https


class ControllerConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    node_monitor_period_s: float = 5.0
    node_monitor_grace_period_s: float = 40.0  # without a renewed Lease a Node becomes Unknown
    pod_eviction_toleration_s: int = 300  # default of the not-ready and unreachable tolerations that pods get
    lease_duration_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0


EVICTION_SIGNALS = ("memory.available", "nodefs.available", "nodefs.inodesFree",
                    "imagefs.available", "imagefs.inodesFree", "pid.available")  # fmt: skip
# Kubernetes' defaults; a share of PIDs on top, without which a fork bomb takes the node along.
EVICTION_HARD = {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%",
                 "imagefs.available": "15%", "pid.available": "5%"}  # fmt: skip


SYSTEM_CRITICAL = 2_000_000_000  # the priority from which on Kubernetes calls a pod critical
SHUTDOWN_SLACK_S = 2.0  # beyond the grace of each group of pods that are ended: SIGKILL, and the final status


class PriorityGrace(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long pods of a priority, up to the next one that is listed, have when the node shuts down."""

    priority: int
    shutdown_grace_period_s: float


class KubeletConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    lease_duration_s: int = 40
    lease_renew_s: float = 10.0
    status_period_s: float = 10.0  # how often node status is computed; posted when changed, or each 5 minutes
    max_pods: int = 110
    max_container_restart_period_s: float = 300.0  # where the doubling backoff of a crashing container ends
    eviction_hard: dict[str, str] = msgspec.field(default_factory=lambda: dict(EVICTION_HARD))  # signal -> least
    eviction_soft: dict[str, str] = {}
    eviction_soft_grace_period_s: dict[str, float] = {}
    eviction_minimum_reclaim: dict[str, str] = {}
    eviction_pressure_transition_period_s: float = 300.0  # for which a pressure is still told of after it has ended
    eviction_max_pod_grace_period_s: float = 30.0  # that a pod gets when a soft threshold evicts it
    image_gc_high_threshold_percent: int = 85  # of the disk in use, from which on unused images are removed
    image_gc_low_threshold_percent: int = 80  # down to which
    system_reserved: dict[str, str] = {}  # of the node's resources, which pods don't get
    allowed_unsafe_sysctls: list[str] = []  # as "kernel.msgmax" or "net.*"
    pod_manifests: str = ""  # a directory of pods that run here without the API server; empty: none
    shutdown_grace_period_s: float = 0.0  # for which pods are ended when the kubelet is stopped; 0: they run on
    shutdown_grace_period_critical_pods_s: float = 0.0  # the part of it that is left to critical pods
    shutdown_grace_period_by_pod_priority: list[PriorityGrace] = []  # instead of these two
    start_latency_ms: int = 50  # simulated runtime only: from sandbox to running

    @property
    def shutdown_groups(self) -> list[PriorityGrace]:
        """Return who is ended with whom and within which time, the first to go first; nothing where pods outlive the
        node's kubelet."""
        if self.shutdown_grace_period_by_pod_priority:
            return sorted(self.shutdown_grace_period_by_pod_priority, key=lambda group: group.priority)
        whole_s = self.shutdown_grace_period_s
        if not whole_s:
            return []
        critical_s = min(self.shutdown_grace_period_critical_pods_s, whole_s)
        return [PriorityGrace(0, whole_s - critical_s), PriorityGrace(SYSTEM_CRITICAL, critical_s)]

    @property
    def shutdown_s(self) -> float:
        """Return how long the end of all pods may take; 0 where they run on."""
        return sum(group.shutdown_grace_period_s + SHUTDOWN_SLACK_S for group in self.shutdown_groups)


class NodeConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    roles: list[str]  # state | apiserver | scheduler | controller-manager | kubelet | proxy | balancer
    runtime: Literal["containerd", "simulated"] = "containerd"
    runtime_handler: Literal["", "crun", "runc"] = ""  # what starts containers; empty: crun where it works, else runc
    containerd_socket: str = ""  # of a containerd that is there already; empty: Kubus starts its own
    count: int = 1  # simulated nodes that this kubelet plays; more than one are named NAME-0, NAME-1 ...
    labels: dict[str, str] = {}
    taints: list[dict[str, str]] = []
    address: str = ""  # where other machines find this node; empty: all nodes without one are on the same machine
    bus_port: int = 7440  # the first of those on which this node's actors listen at `address`
    capacity: dict[str, str] = {}  # overrides, as cpu: "32", memory: 64Gi, pods: "110"
    kubelet: KubeletConfig = KubeletConfig()


class LogConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class ClusterConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    nodes: dict[str, NodeConfig]
    name: str = "kubus"
    network: NetworkConfig = NetworkConfig()
    apiserver: ApiServerConfig = ApiServerConfig()
    balancer: BalancerConfig = BalancerConfig()
    state: StateConfig = StateConfig()
    controllers: ControllerConfig = ControllerConfig()
    log: LogConfig = LogConfig()


def of_settings(settings: dict[str, Any]) -> ClusterConfig:
    """Return the cluster's config out of an actor's settings."""
    return msgspec.convert(settings["cluster"], ClusterConfig)


def node_of_settings(settings: dict[str, Any]) -> NodeConfig:
    """Return the config of an actor's own node out of its settings."""
    return msgspec.convert(settings["node"], NodeConfig)
