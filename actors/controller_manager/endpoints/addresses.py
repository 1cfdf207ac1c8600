"""One Pod behind one Service: its address, whether it is ready, and which port numbers it serves on.

Pure. A Service's `targetPort` may be the name of a container's port, so that two Pods of one Service may serve on
different numbers; endpoints are grouped by what their ports amount to.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from actors.controller_manager.pods import Pod, is_ready, is_terminal, is_terminating

Object = dict[str, Any]
Ports = tuple[tuple[str, str, int, str], ...]  # (name, protocol, port, appProtocol), in the Service's order

IPV4, IPV6 = "IPv4", "IPv6"
ZONE_LABEL = "topology.kubernetes.io/zone"
HEADLESS_LABEL = "service.kubernetes.io/headless"


def selects_pods(service: Object) -> bool:
    """Does Kubus keep this Service's endpoints? Without a selector its owner does; an ExternalName has none."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") == "None"


def address_families(service: Object) -> list[str]:
    """Return the address types of a Service's slices."""
    families = service["spec"].get("ipFamilies")
    if families:
        return list(families)
    cluster_ip = service["spec"].get("clusterIP") or ""
    return [IPV6 if ":" in cluster_ip else IPV4]


def address_of(pod: Pod, family: str) -> str | None:
    """Return the Pod's address of a family, None while it has none."""
    status = pod.get("status") or {}
    found = [entry.get("ip") for entry in status.get("podIPs") or ()] or [status.get("podIP")]
    for address in found:
        if address and _family(address) == family:
            return address
    return None


def _family(address: str) -> str:
    return IPV6 if ipaddress.ip_address(address).version == 6 else IPV4


def conditions_of(pod: Pod, service: Object) -> dict[str, bool]:
    """Return an endpoint's conditions: ready to get traffic, able to serve, on its way out."""
    serving, terminating = is_ready(pod), is_terminating(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    return {"ready": ready, "serving": serving, "terminating": terminating}


def may_serve(pod: Pod) -> bool:
    """Does a Pod belong behind a Service at all? Terminating ones do, until they have finished."""
    return not is_terminal(pod)


def target_ref(pod: Pod) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def host_name_of(pod: Pod, service: Object) -> str | None:
    """Return the name under which DNS answers for this one Pod of a headless Service."""
    spec, metadata = pod["spec"], pod["metadata"]
    same = (
        spec.get("subdomain") == service["metadata"]["name"]
        and metadata["namespace"] == service["metadata"]["namespace"]
    )
    return spec.get("hostname") if same else None


def ports_of(pod: Pod, service: Object) -> Ports:
    """Return the ports that a Pod serves this Service on; one whose name no container has is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        number = target_port(pod, port.get("targetPort", port["port"]), protocol)
        if number is not None:
            found.append((port.get("name", ""), protocol, number, port.get("appProtocol", "")))
    return tuple(found)


def target_port(pod: Pod, target: int | str, protocol: str) -> int | None:
    """Return the number behind a targetPort, None if no container declares that name."""
    if isinstance(target, int):
        return target
    for container in _containers(pod):
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return port["containerPort"]
    return None


def _containers(pod: Pod) -> Iterable[Object]:
    """Yield the containers that run for the Pod's whole life: also init containers that are restarted always."""
    yield from pod["spec"].get("containers") or ()
    for container in pod["spec"].get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def port_objects(ports: Ports) -> list[Object]:
    """Return ports as an EndpointSlice or a subset lists them."""
    objects = []
    for name, protocol, number, app_protocol in ports:
        entry: Object = {"name": name, "port": number, "protocol": protocol}
        if app_protocol:
            entry["appProtocol"] = app_protocol
        objects.append(entry)
    return objects
