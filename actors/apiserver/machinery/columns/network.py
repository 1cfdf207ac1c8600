"""Services, endpoints, ingresses, network policies."""

from actors.apiserver.machinery.columns.cells import (
    AGE,
    NAME,
    NONE,
    UNSET,
    WIDE,
    computed,
    joined,
    labels_text,
    read,
    text,
)
from actors.apiserver.machinery.resource import Column
from actors.apiserver.machinery.scale import selector_text

MAX_SHOWN = 3  # addresses or ports in one cell; the rest is counted


def _external_ip(service: dict) -> str:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return spec.get("externalName", "")
    external = list(spec.get("externalIPs") or ())
    if spec.get("type") == "LoadBalancer":
        ingress = read(service, "status.loadBalancer.ingress", [])
        found = [point.get("ip") or point.get("hostname", "") for point in ingress] + external
        return joined(found, "<pending>")
    return joined(external)


def _ports(service: dict) -> str:
    shown = []
    for port in read(service, "spec.ports", []):
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return joined(shown)


SERVICE: tuple[Column, ...] = (
    NAME,
    text("Type", "spec.type"),
    text("Cluster-IP", "spec.clusterIP"),
    computed("External-IP", _external_ip),
    computed("Port(s)", _ports),
    AGE,
    computed("Selector", lambda obj: labels_text(read(obj, "spec.selector")), WIDE),
)


def _limited(found: list[str], empty: str) -> str:
    more = f" + {len(found) - MAX_SHOWN} more..." if len(found) > MAX_SHOWN else ""
    return joined(found[:MAX_SHOWN], empty) + more


def _host_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _endpoints(obj: dict) -> str:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        ips = [address.get("ip", "") for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        found += [_host_port(ip, port.get("port", 0)) for port in ports for ip in ips] if ports else ips
    return _limited(found, NONE)


ENDPOINTS: tuple[Column, ...] = (NAME, computed("Endpoints", _endpoints), AGE)


def _slice_ports(obj: dict) -> str:
    return _limited([str(port.get("port", "*")) for port in obj.get("ports") or ()], UNSET)


def _slice_endpoints(obj: dict) -> str:
    return _limited([a for endpoint in obj.get("endpoints") or () for a in endpoint.get("addresses") or ()], UNSET)


ENDPOINT_SLICE: tuple[Column, ...] = (
    NAME,
    text("AddressType", "addressType"),
    computed("Ports", _slice_ports),
    computed("Endpoints", _slice_endpoints),
    AGE,
)


def _hosts(ingress: dict) -> str:
    hosts = [rule["host"] for rule in read(ingress, "spec.rules", []) if rule.get("host")]
    return _limited(hosts, "*")


def _address(ingress: dict) -> str:
    return ",".join(p.get("ip") or p.get("hostname", "") for p in read(ingress, "status.loadBalancer.ingress", []))


INGRESS: tuple[Column, ...] = (
    NAME,
    text("Class", "spec.ingressClassName"),
    computed("Hosts", _hosts),
    computed("Address", _address),
    computed("Ports", lambda obj: "80, 443" if read(obj, "spec.tls") else "80"),
    AGE,
)

INGRESS_CLASS: tuple[Column, ...] = (
    NAME,
    text("Controller", "spec.controller"),
    computed(
        "Parameters",
        lambda obj: ".".join(
            filter(None, (read(obj, "spec.parameters.kind"), read(obj, "spec.parameters.apiGroup")))
        ) + f"/{read(obj, 'spec.parameters.name')}" if read(obj, "spec.parameters") else NONE,
    ),
    AGE,
)  # fmt: skip


def _parent(address: dict) -> str:
    parent = read(address, "spec.parentRef")
    if not parent:
        return NONE
    resource = ".".join(filter(None, (parent.get("resource"), parent.get("group")))).lower()
    return "/".join(filter(None, (resource, parent.get("namespace"), parent.get("name"))))


IP_ADDRESS: tuple[Column, ...] = (NAME, computed("ParentRef", _parent), AGE)

SERVICE_CIDR: tuple[Column, ...] = (NAME, computed("CIDRs", lambda obj: joined(read(obj, "spec.cidrs", []))), AGE)

NETWORK_POLICY: tuple[Column, ...] = (
    NAME,
    computed("Pod-Selector", lambda obj: selector_text(read(obj, "spec.podSelector")) or NONE),
    AGE,
)
