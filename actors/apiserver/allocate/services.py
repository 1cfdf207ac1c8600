"""Cluster IPs and node ports of Services: what a Service needs, what it keeps over a change, what it gives back.

Source: Kubernetes' registry/core/service. A cluster has one address family, so a Service has one address.

Neighbours: `ranges` finds free places; `claims` is how the verbs see this.
"""

import ipaddress
from typing import Any

from actors.api import errors
from actors.api.errors import Cause
from actors.api.meta import now_rfc3339
from actors.apiserver.allocate import networks
from actors.apiserver.allocate.ip_addresses import PREFIX as CLUSTER_IPS
from actors.apiserver.allocate.ip_addresses import claimed, family_of, key_of
from actors.apiserver.allocate.ranges import NODE_PORTS, Places, node_ports
from actors.apiserver.machinery.stored import encode_stored
from actors.apiserver.server import Server
from actors.apiserver.storage.charge import Claim

HEADLESS = "None"
EXTERNAL_NAME = "ExternalName"
_WITH_NODE_PORTS = frozenset({"NodePort", "LoadBalancer"})


def service_claims(service: dict[str, Any]) -> list[bytes]:
    """The keys that a stored Service holds."""
    spec = service.get("spec") or {}
    ips = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if ip and ip != HEADLESS]
    ports = {str(port["nodePort"]) for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        ports.add(str(spec["healthCheckNodePort"]))
    return [key_of(ip) for ip in ips if _is_address(ip)] + [NODE_PORTS + port.encode() for port in sorted(ports)]


class ServiceAllocation:
    """Addresses for one write of a Service."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._networks = networks.places(server.cache, server.config)
        self._ports = node_ports(server.config.network.node_ports)
        self._refused: set[bytes] = set()
        self._given: set[bytes] = set()  # places this allocation chose itself: not the writer's fault when taken

    def refuse(self, keys: list[bytes]) -> None:
        self._refused.update(keys)

    def released(self, obj: dict[str, Any], old: dict[str, Any]) -> list[bytes]:
        kept = set(service_claims(obj))
        return [key for key in service_claims(old) if key not in kept]

    async def fill_in(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[Claim]:
        """See `claims.Allocation`. May be called again for the same object after a refusal."""
        spec = obj["spec"]
        self._forget_own_choices(spec)
        held = set(service_claims(old)) if old is not None else set()
        if old is not None:
            _keep(spec, old["spec"])
        _drop_what_the_type_lacks(spec)
        if _needs_ip(spec):
            await self._give_ip(obj, spec, held)
        if _needs_node_ports(spec):
            await self._give_node_ports(obj, spec, held)
        if spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            await self._give_health_check_port(obj, spec, held)
        return [self._claim(obj, key) for key in service_claims(obj) if key not in held]

    def _claim(self, obj: dict[str, Any], key: bytes) -> Claim:
        if not key.startswith(CLUSTER_IPS):
            metadata = obj["metadata"]
            return Claim(key, f"/registry/services/{metadata['namespace']}/{metadata['name']}".encode())
        address = key.removeprefix(CLUSTER_IPS).decode()
        return Claim(key, encode_stored(claimed(address, obj, now_rfc3339(self._server.clock))))

    def _forget_own_choices(self, spec: dict[str, Any]) -> None:
        """Take back the places that were given by chance and turned out to be taken."""
        ip = spec.get("clusterIP")
        if ip and _is_address(ip) and key_of(ip) in self._given & self._refused:
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        for port in spec.get("ports") or ():
            if NODE_PORTS + str(port.get("nodePort")).encode() in self._given & self._refused:
                del port["nodePort"]
        if NODE_PORTS + str(spec.get("healthCheckNodePort")).encode() in self._given & self._refused:
            del spec["healthCheckNodePort"]

    async def _give_ip(self, obj: dict[str, Any], spec: dict[str, Any], held: set[bytes]) -> None:
        wanted = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if wanted:
            self._check_ip(obj, wanted, held)
        else:
            wanted = await self._free_ip(obj)
        spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]

    async def _free_ip(self, obj: dict[str, Any]) -> str:
        """Return an address of the first network that has one. Raises ApiError when none has."""
        for places in self._networks:
            place = await places.free(self._server.state, self._refused, self._server.random)
            if place is not None:
                self._given.add(places.key(place))
                return places.name(place)
        raise errors.internal(f"failed to allocate for {obj['metadata']['name']} spec.clusterIPs: range is full")

    def _check_ip(self, obj: dict[str, Any], wanted: str, held: set[bytes]) -> None:
        if not _is_address(wanted):
            raise _invalid(obj, "spec.clusterIPs[0]", [wanted], "must be a valid IP address")
        place, key = int(ipaddress.ip_address(wanted)), key_of(wanted)
        if key in held:
            return
        if not any(
            places.holds(place) and family_of(places.name(place)) == family_of(wanted) for places in self._networks
        ):
            why = f"failed to allocate IP {wanted}: the provided network does not match the current range"
            raise _invalid(obj, "spec.clusterIPs", [wanted], why)
        if key in self._refused:
            why = f"failed to allocate IP {wanted}: provided IP is already allocated"
            raise _invalid(obj, "spec.clusterIPs", [wanted], why)

    async def _give_node_ports(self, obj: dict[str, Any], spec: dict[str, Any], held: set[bytes]) -> None:
        """A port that is asked for may serve several protocols of the Service; one given by chance serves one."""
        for number, port in enumerate(spec.get("ports") or ()):
            path = f"spec.ports[{number}].nodePort"
            if port.get("nodePort"):
                self._check_port(obj, path, port["nodePort"], held)
        own = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
        for number, port in enumerate(spec.get("ports") or ()):
            if not port.get("nodePort"):
                port["nodePort"] = await self._free(obj, self._ports, f"spec.ports[{number}].nodePort", own)
                own.add(port["nodePort"])

    async def _give_health_check_port(self, obj: dict[str, Any], spec: dict[str, Any], held: set[bytes]) -> None:
        path = "spec.healthCheckNodePort"
        if spec.get("healthCheckNodePort"):
            self._check_port(obj, path, spec["healthCheckNodePort"], held)
        else:
            own = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
            spec["healthCheckNodePort"] = await self._free(obj, self._ports, path, own)

    def _check_port(self, obj: dict[str, Any], path: str, wanted: int, held: set[bytes]) -> None:
        key = self._ports.key(wanted)
        if key in held:
            return
        if not self._ports.holds(wanted):
            span = self._server.config.network.node_ports
            why = f"provided port is not in the valid range. The range of valid ports is {span}"
            raise _invalid(obj, path, wanted, why)
        if key in self._refused:
            raise _invalid(obj, path, wanted, "provided port is already allocated")

    async def _free(self, obj: dict[str, Any], places: Places, path: str, own: set[int] | None = None) -> int:
        refused = self._refused | {places.key(place) for place in own or ()}
        place = await places.free(self._server.state, refused, self._server.random)
        if place is None:
            raise errors.internal(f"failed to allocate for {obj['metadata']['name']} {path}: range is full")
        self._given.add(places.key(place))
        return place


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _needs_ip(spec: dict[str, Any]) -> bool:
    return spec.get("type") != EXTERNAL_NAME and spec.get("clusterIP") != HEADLESS


def _needs_node_ports(spec: dict[str, Any]) -> bool:
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts", True)
    return spec.get("type") == "NodePort"


def _keep(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Let a Service that does not name its addresses keep those it has."""
    if _needs_ip(spec) and _needs_ip(before) and not spec.get("clusterIP"):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if name in before:
                spec[name] = before[name]
    if not (_needs_node_ports(spec) and before.get("type") in _WITH_NODE_PORTS):
        return
    had = {
        (port.get("protocol"), port["port"]): port["nodePort"]
        for port in before.get("ports") or ()
        if port.get("nodePort")
    }
    taken = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    for port in spec.get("ports") or ():
        kept = had.get((port.get("protocol"), port["port"]))
        if not port.get("nodePort") and kept and kept not in taken:
            port["nodePort"] = kept
            taken.add(kept)


def _drop_what_the_type_lacks(spec: dict[str, Any]) -> None:
    """An ExternalName has no address; only NodePort and LoadBalancer Services have node ports."""
    if spec.get("type") == EXTERNAL_NAME:
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
    if spec.get("type") not in _WITH_NODE_PORTS:
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if spec.get("clusterIP") == HEADLESS:
        spec["clusterIPs"] = [HEADLESS]


def _invalid(obj: dict[str, Any], path: str, value: Any, why: str) -> errors.ApiError:
    cause = Cause("FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}", path)
    return errors.invalid("Service", obj["metadata"]["name"], [cause])


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int) else str(value).replace("'", '"')
