"""Service: defaults, the cluster address and node ports that an update keeps, validation.

Addresses and node ports are allocated by serving, after `prepare_for_create` and `prepare_for_update`: these make the
fields consistent, so that only what is really missing gets allocated.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds import service_families
from actors.apiserver.machinery.kinds.conditions import condition_causes
from actors.apiserver.machinery.kinds.endpoints import address_causes
from actors.apiserver.machinery.kinds.load_balancers import default_modes, service_causes
from actors.apiserver.machinery.kinds.probes import port_causes
from actors.apiserver.machinery.kinds.service_warnings import service_warnings
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.metadata import label_causes

HEADLESS = "None"
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_CLIENT_IP_TIMEOUT_S = 10800  # three hours, as Kubernetes documents
_MAX_CLIENT_IP_TIMEOUT_S = 86400


def needs_cluster_ip(spec: dict[str, Any]) -> bool:
    return spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer")


def is_headless(spec: dict[str, Any]) -> bool:
    return spec.get("clusterIP") == HEADLESS


class ServiceStrategy(WithStatus):
    tracks_generation = False
    allow_create_on_update = True

    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.dns_label_1035(name, prefix)

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        return service_warnings(obj)

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        kind = spec.setdefault("type", "ClusterIP")
        affinity = spec.setdefault("sessionAffinity", "None")
        if affinity == "None":
            spec.pop("sessionAffinityConfig", None)
        elif affinity == "ClientIP":
            client_ip = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
            client_ip.setdefault("timeoutSeconds", _CLIENT_IP_TIMEOUT_S)
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if port.get("targetPort", 0) in (0, ""):
                port["targetPort"] = port.get("port", 0)
        if kind in _WITH_NODE_PORTS or (kind == "ClusterIP" and spec.get("externalIPs")):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if kind != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if kind == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
            default_modes(obj)

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return service_causes(obj) + condition_causes(obj["status"].get("conditions"), "status.conditions")

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"loadBalancer": {}}

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        super().prepare_for_create(obj)
        _agree_on_addresses(obj["spec"], None)
        service_families.settle(obj["spec"], {})

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        super().prepare_for_update(obj, old)
        spec, before = obj["spec"], old["spec"]
        _agree_on_addresses(spec, before)
        if needs_cluster_ip(spec) and needs_cluster_ip(before):
            _keep_addresses(spec, before)
        if spec["type"] in _WITH_NODE_PORTS and before.get("type") in _WITH_NODE_PORTS:
            _keep_node_ports(spec, before)
        _drop_of_other_types(spec, before)
        service_families.settle(spec, before)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        kind = spec["type"]
        causes = field.one_of("spec.type", kind, _TYPES)
        causes += label_causes(spec.get("selector"), "spec.selector")
        causes += _address_causes(spec)
        causes += _ports_causes(spec)
        causes += _affinity_causes(spec)
        causes += _policy_causes(spec)
        if kind == "ExternalName":
            name = spec.get("externalName", "").removesuffix(".")
            causes += field.messages("spec.externalName", name, names.dns_subdomain(name)) if name else []
            if not name:
                causes.append(field.required("spec.externalName"))
        for i, address in enumerate(spec.get("externalIPs") or ()):
            causes += address_causes(address, f"spec.externalIPs[{i}]")
        return causes + _load_balancer_causes(spec)

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        causes = []
        if spec["type"] == before.get("type") == "LoadBalancer":
            if (had := before.get("loadBalancerClass")) is not None and spec.get("loadBalancerClass") != had:
                causes.append(
                    field.invalid("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set")
                )
            if (had := before.get("healthCheckNodePort")) and spec.get("healthCheckNodePort") not in (None, 0, had):
                causes.append(field.forbidden("spec.healthCheckNodePort", "field is immutable"))
        if not (needs_cluster_ip(spec) and needs_cluster_ip(before)):
            return causes
        was, now = before.get("clusterIPs") or [], spec.get("clusterIPs") or []
        if was and now[:1] != was[:1]:
            causes.append(field.invalid("spec.clusterIPs[0]", now, "may not change once set"))
        return causes


def _agree_on_addresses(spec: dict, before: dict | None) -> None:
    """Make clusterIP and clusterIPs agree: who sets or changes only one of them means both."""
    single, many = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if before is None:
        if single and not many:
            spec["clusterIPs"] = [single]
        return
    was_single, was_many = before.get("clusterIP", ""), before.get("clusterIPs") or []
    if single != was_single and many == was_many:
        spec["clusterIPs"] = [single] if single else []
    if not spec.get("clusterIPs"):
        spec.pop("clusterIPs", None)


def _keep_addresses(spec: dict, before: dict) -> None:
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        for name in ("clusterIP", "clusterIPs"):
            if name in before:
                spec[name] = before[name]
    if "ipFamilies" in before:
        spec.setdefault("ipFamilies", before["ipFamilies"])


def _keep_node_ports(spec: dict, before: dict) -> None:
    """A port whose node port is left out keeps the one that it had."""
    had = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in before.get("ports") or ()}
    used = {port.get("nodePort") for port in spec.get("ports") or () if port.get("nodePort")}
    for port in spec.get("ports") or ():
        kept = had.get((port.get("protocol"), port.get("port")))
        if kept and not port.get("nodePort") and kept not in used:
            port["nodePort"] = kept
    if spec["type"] == "LoadBalancer" and before.get("healthCheckNodePort"):
        spec.setdefault("healthCheckNodePort", before["healthCheckNodePort"])


def _drop_of_other_types(spec: dict, before: dict) -> None:
    """When the type changes, drop what only the old type had, unless the writer changed it at the same time."""
    kind, was = spec["type"], before.get("type")
    if kind == was:
        return
    if kind == "ExternalName":
        if spec.get("clusterIP") == before.get("clusterIP"):
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(name, None)
        spec.pop("internalTrafficPolicy", None)
    if kind not in _WITH_NODE_PORTS:
        had = {port.get("nodePort") for port in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in had:
                port.pop("nodePort", None)
        if not spec.get("externalIPs"):
            spec.pop("externalTrafficPolicy", None)
    if kind != "LoadBalancer":
        for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"):
            if spec.get(name) == before.get(name):
                spec.pop(name, None)


def _address_causes(spec: dict) -> list[Cause]:
    single, many = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if spec["type"] == "ExternalName":
        return [
            field.forbidden(f"spec.{name}", "may not be set for ExternalName services")
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
            if spec.get(name)
        ]
    causes = []
    if single == HEADLESS and spec["type"] in _WITH_NODE_PORTS:
        detail = f"may not be set to 'None' for {spec['type']} services"
        causes.append(field.invalid("spec.clusterIPs[0]", single, detail))
    if many and many[0] != single:
        causes.append(field.invalid("spec.clusterIPs", many, "first value must match `clusterIP`"))
    return causes + service_families.causes_of(spec)


def _ports_causes(spec: dict) -> list[Cause]:
    ports, causes = spec.get("ports") or [], []
    if not ports and spec["type"] != "ExternalName" and not is_headless(spec):
        causes.append(field.required("spec.ports"))
    seen_names: set[str] = set()
    seen: set[tuple] = set()
    seen_node_ports: set[tuple] = set()
    for i, port in enumerate(ports):
        at, name, number = f"spec.ports[{i}]", port.get("name", ""), port.get("port", 0)
        if not name and len(ports) > 1:
            causes.append(field.required(f"{at}.name"))
        elif name:
            causes += field.messages(f"{at}.name", name, names.dns_label(name))
            if name in seen_names:
                causes.append(field.duplicate(f"{at}.name", name))
            seen_names.add(name)
        causes += field.messages(f"{at}.port", number, names.port_number(number))
        causes += field.needed_one_of(f"{at}.protocol", port.get("protocol", ""), _PROTOCOLS)
        causes += port_causes(port.get("targetPort", 0), f"{at}.targetPort")
        if (protocol := port.get("appProtocol")) is not None:
            causes += field.messages(f"{at}.appProtocol", protocol, names.qualified_name(protocol))
        identity = (port.get("protocol"), number)
        if identity in seen:
            causes.append(field.duplicate(at, {"protocol": identity[0], "port": number}))
        seen.add(identity)
        causes += _node_port_causes(spec, port, at, seen_node_ports)
    return causes


def _node_port_causes(spec: dict, port: dict, at: str, seen: set[tuple]) -> list[Cause]:
    number = port.get("nodePort", 0)
    if not number:
        return []
    if spec["type"] not in _WITH_NODE_PORTS:
        return [field.forbidden(f"{at}.nodePort", f"may not be used when `type` is '{spec['type']}'")]
    identity = (port.get("protocol"), number)
    if identity in seen:
        return [field.duplicate(f"{at}.nodePort", number)]
    seen.add(identity)
    return field.messages(f"{at}.nodePort", number, names.port_number(number))


def _load_balancer_causes(spec: dict) -> list[Cause]:
    causes = []
    if spec["type"] != "LoadBalancer":
        for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(name) is not None:
                causes.append(field.forbidden(f"spec.{name}", "may only be used when `type` is 'LoadBalancer'"))
    elif (kind := spec.get("loadBalancerClass")) is not None:
        causes += field.messages("spec.loadBalancerClass", kind, names.qualified_name(kind))
    if (distribution := spec.get("trafficDistribution")) is not None:
        causes += field.one_of("spec.trafficDistribution", distribution, _DISTRIBUTIONS)
    return causes


def _affinity_causes(spec: dict) -> list[Cause]:
    causes = field.one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if timeout is not None and not 0 < timeout <= _MAX_CLIENT_IP_TIMEOUT_S:
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        causes.append(field.invalid(path, timeout, f"must be greater than 0 and less than {_MAX_CLIENT_IP_TIMEOUT_S}"))
    return causes


def _policy_causes(spec: dict) -> list[Cause]:
    causes = []
    external, internal = spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy")
    if external and not (spec["type"] in _WITH_NODE_PORTS or spec.get("externalIPs")):
        detail = "may only be set for externally-accessible services"
        causes.append(field.invalid("spec.externalTrafficPolicy", external, detail))
    elif external:
        causes += field.one_of("spec.externalTrafficPolicy", external, ("Cluster", "Local"))
    if internal:
        causes += field.one_of("spec.internalTrafficPolicy", internal, ("Cluster", "Local"))
    check = spec.get("healthCheckNodePort", 0)
    if check and (spec["type"] != "LoadBalancer" or external != "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        causes.append(field.invalid("spec.healthCheckNodePort", check, detail))
    if spec.get("loadBalancerSourceRanges") and spec["type"] != "LoadBalancer":
        causes.append(
            field.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
        )
    for i, source in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        causes += field.messages(f"spec.loadBalancerSourceRanges[{i}]", source, names.cidr(source.strip()))
    return causes
