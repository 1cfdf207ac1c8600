"""The files that tell a pod its names and name servers: /etc/hosts and the DNS config. Pure."""

from collections.abc import Sequence

from actors.kubelet import pod as pods
from actors.kubelet.container_spec import fqdn_of, hostname_of
from actors.kubelet.runtime import Dns

HOSTS_HEADER = "# Kubernetes-managed hosts file.\n"
HOSTS_HEADER_HOST_NETWORK = "# Kubernetes-managed hosts file (host network).\n"
LOCAL_NAMES = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "fe00::\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)
NDOTS = "ndots:5"  # so that service.namespace is tried within the cluster first
MAX_SEARCHES = 32  # as the API allows; the rest is dropped


def hosts_file(pod: pods.Pod, pod_ips: Sequence[str], domain: str, node_hosts: str) -> str:
    """Return the pod's /etc/hosts. `node_hosts` is the node's own file, which a host-network pod continues."""
    if pods.is_host_network(pod):
        text = HOSTS_HEADER_HOST_NETWORK + node_hosts
    else:
        text = HOSTS_HEADER + LOCAL_NAMES
        override = pod["spec"].get("hostnameOverride")
        hostname = override or hostname_of(pod, domain).partition(".")[0]
        names = "\t".join(name for name in (fqdn_of(pod, domain), hostname) if name)
        text += "".join(f"{ip}\t{names}\n" for ip in pod_ips)
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or ()) + "\n" for alias in aliases)
    return text


def dns_of(pod: pods.Pod, cluster_dns: Sequence[str], domain: str, node: Dns) -> Dns | None:
    """Return the pod's name service; None means as on the node. `node` is the node's own resolv.conf."""
    spec = pod["spec"]
    policy, extra = spec.get("dnsPolicy") or "ClusterFirst", spec.get("dnsConfig") or {}
    if policy == "ClusterFirst" and pods.is_host_network(pod):
        policy = "Default"
    if policy == "ClusterFirstWithHostNet":
        policy = "ClusterFirst"
    if policy == "ClusterFirst" and cluster_dns:
        suffixes = [f"{pods.namespace(pod)}.svc.{domain}", f"svc.{domain}", domain]
        base = Dns(tuple(cluster_dns), (*suffixes, *node.searches), (NDOTS,))
    elif policy == "None":
        base = Dns()
    elif extra:
        base = node
    else:
        return None
    return _merged(base, extra)


def resolv_conf(text: str) -> Dns:
    """Read a resolv.conf."""
    servers, searches, options = [], [], []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] == "search":
            searches = words[1:]
        elif words[0] == "options":
            options = words[1:]
    return Dns(tuple(servers), tuple(searches), tuple(options))


def _merged(base: Dns, extra: dict) -> Dns:
    options = {option.partition(":")[0]: option for option in base.options}
    for option in extra.get("options") or ():
        value = option.get("value")
        options[option["name"]] = option["name"] if value in (None, "") else f"{option['name']}:{value}"
    servers = dict.fromkeys((*base.servers, *(extra.get("nameservers") or ())))
    searches = dict.fromkeys((*base.searches, *(extra.get("searches") or ())))
    return Dns(tuple(servers), tuple(searches)[:MAX_SEARCHES], tuple(options.values()))
