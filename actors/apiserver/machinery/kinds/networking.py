"""Ingress, IngressClass, NetworkPolicy."""

import ipaddress
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.load_balancers import ingress_causes
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.kinds.probes import port_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_CLASS = "kubernetes.io/ingress.class"
_NOT_IN = ("//", "/./", "/../", "%2f", "%2F")  # of a path that is compared
_NOT_LAST = ("/..", "/.")


class IngressStrategy(WithStatus):
    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"loadBalancer": {}}

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return ingress_causes(obj)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj.get("spec") or {}
        causes = []
        if not spec.get("rules") and not spec.get("defaultBackend"):
            detail = "either `defaultBackend` or `rules` must be specified"
            causes.append(field.invalid("spec", spec.get("rules") or [], detail))
        if spec.get("defaultBackend"):
            causes += _backend_causes(spec["defaultBackend"], "spec.defaultBackend")
        for i, rule in enumerate(spec.get("rules") or ()):
            at, host = f"spec.rules[{i}]", rule.get("host", "")
            if host:
                causes += _host_causes(host, f"{at}.host")
            for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
                causes += _path_causes(path, f"{at}.http.paths[{j}]")
        for i, tls in enumerate(spec.get("tls") or ()):
            for j, host in enumerate(tls.get("hosts") or ()):
                causes += field.messages(
                    f"spec.tls[{i}].hosts[{j}]", host, names.dns_subdomain(host.removeprefix("*."))
                )
        if name := spec.get("ingressClassName"):
            causes += field.messages("spec.ingressClassName", name, names.dns_subdomain(name))
        return causes

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        if _CLASS not in (obj["metadata"].get("annotations") or {}):
            return []
        return [f"annotation \"{_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]

    def update_warnings(self, obj: dict[str, Any], old: dict[str, Any]) -> list[str]:
        return []

    def validate_create(self, obj: dict[str, Any]) -> list[Cause]:
        given = (obj["metadata"].get("annotations") or {}).get(_CLASS)
        named = (obj.get("spec") or {}).get("ingressClassName")
        if given is None or named is None or given == named:
            return []
        detail = "must match `ingressClassName` when both are specified"
        return [field.invalid(f"metadata.annotations[{_CLASS}]", given, detail)]


def _host_causes(host: str, at: str) -> list[Cause]:
    if not names.ip_address(host):
        return [field.invalid(at, host, "must be a DNS name, not an IP address")]
    return field.messages(at, host, names.dns_subdomain(host.removeprefix("*.")))


def _path_causes(path: dict[str, Any], at: str) -> list[Cause]:
    kind, value = path.get("pathType", ""), path.get("path", "")
    if not kind:
        return [field.required(f"{at}.pathType", "pathType must be specified")]
    causes = field.one_of(f"{at}.pathType", kind, _PATH_TYPES)
    if kind != "ImplementationSpecific" and not value.startswith("/"):
        causes.append(field.invalid(f"{at}.path", value, "must be an absolute path"))
    elif kind != "ImplementationSpecific":
        causes += [field.invalid(f"{at}.path", value, f"must not contain '{one}'") for one in _NOT_IN if one in value]
        causes += [
            field.invalid(f"{at}.path", value, f"cannot end with '{one}'") for one in _NOT_LAST if value.endswith(one)
        ]
    return causes + _backend_causes(path.get("backend") or {}, f"{at}.backend")


def _backend_causes(backend: dict[str, Any], at: str) -> list[Cause]:
    service, other = backend.get("service"), backend.get("resource")
    if (service is None) == (other is None):
        if service is None:
            return [field.required(at, "a service or a resource backend is required")]
        return [field.invalid(at, backend, "cannot set both resource and service backends")]
    if service is None:
        return []
    causes = [] if service.get("name") else [field.required(f"{at}.service.name")]
    port = service.get("port") or {}
    if not port.get("name") and not port.get("number"):
        return [*causes, field.required(f"{at}.service.port", "port name or number is required")]
    if port.get("name") and port.get("number"):
        return [*causes, field.invalid(f"{at}.service.port", port, "cannot set both port name & port number")]
    return causes + port_causes(port.get("name") or port["number"], f"{at}.service.port")


class IngressClassStrategy(Strategy):
    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj.get("spec") or {}
        controller, parameters = spec.get("controller", ""), spec.get("parameters")
        if not controller:
            return [field.required("spec.controller")]
        causes = field.messages("spec.controller", controller, names.domain_prefixed_path(controller))
        return causes if parameters is None else causes + _parameters_causes(parameters, "spec.parameters")

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        controller = (obj.get("spec") or {}).get("controller")
        if controller != (old.get("spec") or {}).get("controller"):
            return [field.immutable("spec.controller", controller)]
        return []


def _parameters_causes(parameters: dict[str, Any], at: str) -> list[Cause]:
    causes = [field.required(f"{at}.{name}") for name in ("kind", "name") if not parameters.get(name)]
    scope, namespace = parameters.get("scope", "Cluster"), parameters.get("namespace")
    causes += field.one_of(f"{at}.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace" and not namespace:
        causes.append(field.required(f"{at}.namespace", "`parameters.scope` is set to 'Namespace'"))
    if scope == "Cluster" and namespace is not None:
        causes.append(field.forbidden(f"{at}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return causes


class NetworkPolicyStrategy(WithStatus):
    """It has no status, but a generation."""

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        spec.setdefault("podSelector", {})
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    port.setdefault("protocol", "TCP")

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        causes = label_selector_causes(spec.get("podSelector"), "spec.podSelector")
        if len(spec["policyTypes"]) > 2:
            detail = "may not specify more than two policyTypes"
            return [*causes, field.invalid("spec.policyTypes", spec["policyTypes"], detail)]
        for i, kind in enumerate(spec["policyTypes"]):
            causes += field.one_of(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress"))
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for i, rule in enumerate(spec.get(direction) or ()):
                at = f"spec.{direction}[{i}]"
                for j, port in enumerate(rule.get("ports") or ()):
                    causes += _policy_port_causes(port, f"{at}.ports[{j}]")
                for j, peer in enumerate(rule.get(peers) or ()):
                    causes += _peer_causes(peer, f"{at}.{peers}[{j}]")
        return causes


def _policy_port_causes(port: dict[str, Any], at: str) -> list[Cause]:
    causes = field.one_of(f"{at}.protocol", port.get("protocol", "TCP"), _PROTOCOLS)
    if port.get("port") is not None:
        causes += port_causes(port["port"], f"{at}.port")
    end = port.get("endPort")
    if end is not None and (not isinstance(port.get("port"), int) or end < port["port"]):
        causes.append(field.invalid(f"{at}.endPort", end, "must be greater than or equal to `port`"))
    return causes


def _peer_causes(peer: dict[str, Any], at: str) -> list[Cause]:
    block = peer.get("ipBlock")
    selects = [name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    if block is None and not selects:
        return [field.required(at, "must specify a peer")]
    if block is not None and selects:
        return [field.forbidden(at, "may not specify both ipBlock and another peer")]
    causes: list[Cause] = []
    for name in selects:
        causes += label_selector_causes(peer[name], f"{at}.{name}")
    if block is None:
        return causes
    for i, text in enumerate([block.get("cidr", ""), *(block.get("except") or ())]):
        where = f"{at}.ipBlock.cidr" if i == 0 else f"{at}.ipBlock.except[{i - 1}]"
        wrong = names.cidr(text)
        causes += field.messages(where, text, wrong)
        if i and not wrong and not names.cidr(block["cidr"]) and not _is_within(text, block["cidr"]):
            causes.append(field.invalid(where, text, "must be a strict subset of `cidr`"))
    return causes


def _is_within(block: str, whole: str) -> bool:
    """Is a block of addresses a part of another one, and not all of it?"""
    part, of = ipaddress.ip_network(block, strict=False), ipaddress.ip_network(whole, strict=False)
    if part.version != of.version or part.prefixlen <= of.prefixlen:
        return False
    return part.network_address in of
