"""DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice: devices that pods may ask for (KEP-4381).

No driver runs here: slices are kept for those that users bring. Neighbour: `csi.fixed`.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.csi import driver_name_causes, fixed
from actors.apiserver.machinery.kinds.placement import node_selector_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

Object = dict[str, Any]

_ALLOCATION_MODES = ("ExactCount", "All")
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
MAX_REQUESTS = 32  # of a claim, as in Kubernetes
MAX_DEVICES = 128  # of a slice, likewise


def _default_request(request: Object) -> None:
    exactly = request.get("exactly")
    for part in (*(() if exactly is None else (exactly,)), *(request.get("firstAvailable") or ())):
        part.setdefault("allocationMode", "ExactCount")
        if part["allocationMode"] == "ExactCount":
            part.setdefault("count", 1)


def _default_claim(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        _default_request(request)


def _claim_causes(spec: Object, path: str) -> list[Cause]:
    requests, at = (spec.get("devices") or {}).get("requests") or [], f"{path}.devices.requests"
    causes = [field.too_many(at, len(requests), MAX_REQUESTS)] if len(requests) > MAX_REQUESTS else []
    seen: set[str] = set()
    for i, request in enumerate(requests):
        name = request.get("name", "")
        causes += field.messages(f"{at}[{i}].name", name, names.dns_label(name))
        if name in seen:
            causes.append(field.duplicate(f"{at}[{i}].name", name))
        seen.add(name)
        causes += _request_causes(request, f"{at}[{i}]")
    return causes


def _request_causes(request: Object, path: str) -> list[Cause]:
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable")
    if bool(exactly) == bool(alternatives):
        return [field.required(path, "exactly one of `exactly` or `firstAvailable` is required")]
    causes = [] if exactly is None else _exact_causes(exactly, f"{path}.exactly")
    for i, part in enumerate(alternatives or ()):
        causes += field.messages(
            f"{path}.firstAvailable[{i}].name", part.get("name", ""), names.dns_label(part.get("name", ""))
        )
        causes += _exact_causes(part, f"{path}.firstAvailable[{i}]")
    return causes


def _exact_causes(part: Object, path: str) -> list[Cause]:
    name, count = part.get("deviceClassName", ""), part.get("count")
    causes = field.messages(f"{path}.deviceClassName", name, names.dns_subdomain(name)) if name else []
    causes += [] if name else [field.required(f"{path}.deviceClassName")]
    causes += field.one_of(f"{path}.allocationMode", part["allocationMode"], _ALLOCATION_MODES)
    if part["allocationMode"] == "ExactCount" and (count or 0) < 1:
        causes.append(field.invalid(f"{path}.count", count, "must be greater than zero"))
    elif part["allocationMode"] == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        causes.append(field.invalid(f"{path}.count", count, detail))
    return causes + _selector_causes(part.get("selectors") or [], f"{path}.selectors")


def _selector_causes(selectors: list[Object], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for i, selector in enumerate(selectors):
        expression = (selector.get("cel") or {}).get("expression")
        if not expression:
            causes.append(field.required(f"{path}[{i}].cel"))
        else:
            causes += _expression_causes(expression, f"{path}[{i}].cel.expression")
    return causes


def _expression_causes(expression: str, path: str) -> list[Cause]:
    from actors.apiserver.machinery.kinds import device_selectors  # loads CEL: not before somebody writes an expression

    return device_selectors.causes_of(expression, path)


class DeviceClassStrategy(WithStatus):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: Object) -> list[Cause]:
        return _selector_causes(obj["spec"].get("selectors") or [], "spec.selectors")


class ResourceClaimStrategy(WithStatus):
    tracks_generation = False

    def default(self, obj: Object) -> None:
        _default_claim(obj.setdefault("spec", {}))

    def validate(self, obj: Object) -> list[Cause]:
        return _claim_causes(obj["spec"], "spec")

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return [] if obj["spec"] == old["spec"] else [field.immutable("spec", obj["spec"])]


class ResourceClaimTemplateStrategy(Strategy):
    def default(self, obj: Object) -> None:
        _default_claim(obj.setdefault("spec", {}).setdefault("spec", {}))

    def validate(self, obj: Object) -> list[Cause]:
        return _claim_causes(obj["spec"]["spec"], "spec.spec")

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return [] if obj["spec"] == old["spec"] else [field.immutable("spec", obj["spec"])]


class ResourceSliceStrategy(WithStatus):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        pool, devices = spec.get("pool") or {}, spec.get("devices") or []
        causes = driver_name_causes(spec.get("driver", ""), "spec.driver")
        if not pool.get("name"):
            causes.append(field.required("spec.pool.name"))
        if pool.get("resourceSliceCount", 0) < 1:
            causes.append(
                field.invalid(
                    "spec.pool.resourceSliceCount", pool.get("resourceSliceCount"), "must be greater than zero"
                )
            )
        causes += field.non_negative("spec.pool.generation", pool.get("generation"))
        if sum(bool(spec.get(name)) for name in _PLACES) != 1:
            causes.append(
                field.invalid("spec", "", f"exactly one of {', '.join(f'`{name}`' for name in _PLACES)} is required")
            )
        if spec.get("nodeSelector"):
            causes += node_selector_causes(spec["nodeSelector"], "spec.nodeSelector")
        if len(devices) > MAX_DEVICES:
            causes.append(field.too_many("spec.devices", len(devices), MAX_DEVICES))
        seen: set[str] = set()
        for i, device in enumerate(devices):
            name = device.get("name", "")
            causes += field.messages(f"spec.devices[{i}].name", name, names.dns_label(name))
            if name in seen:
                causes.append(field.duplicate(f"spec.devices[{i}].name", name))
            seen.add(name)
        return causes

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        causes = fixed(obj["spec"], old["spec"], ("driver", "nodeName"), "spec.")
        return causes + fixed(obj["spec"].get("pool") or {}, old["spec"].get("pool") or {}, ("name",), "spec.pool.")
