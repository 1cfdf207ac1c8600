"""Pods that this node does not take in, whoever bound them to it: a kernel parameter that it does not allow.

Pure. A refused pod fails with a reason, and nothing of it is started. Neighbour: `worker` asks before a pod's first
start; a pod that has begun is not asked about again.
"""

from actors.kubelet import pod as pods
from actors.kubelet.status import Ending

# Parameters of a pod's own namespaces, which can harm no other pod: Kubernetes' safe set.
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


def refusal(pod: pods.Pod) -> Ending | None:
    """Return why the pod must not be started here; None when it may."""
    for item in (pod["spec"].get("securityContext") or {}).get("sysctls") or ():
        why = _sysctl_fault(pod, item["name"].replace("/", "."))
        if why:
            return Ending("SysctlForbidden", f'Pod was rejected: forbidden sysctl: "{item["name"]}" {why}')
    return None


def _sysctl_fault(pod: pods.Pod, name: str) -> str:
    """A parameter must be on the list, and its namespace must be the pod's own."""
    if name not in SAFE_SYSCTLS:
        return "not allowlisted"
    if name.startswith("net.") and pods.is_host_network(pod):
        return "not allowed with host net enabled"
    if name.startswith("kernel.shm") and pod["spec"].get("hostIPC"):
        return "not allowed with host ipc enabled"
    return ""
