"""The spec of a ResourceClaim: which devices are wanted, how they must go together, how they are to be set up.

Neighbours: `devices` asks for claims and templates; `device_status` refers to a claim's requests.
"""

from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.device_parts import (
    MAX_CONFIGURATIONS,
    MAX_REQUESTS,
    Object,
    class_name_causes,
    configuration_causes,
    full_name_causes,
    label_causes,
    selector_causes,
    toleration_causes,
)

MAX_CONSTRAINTS = 32
MAX_ALTERNATIVES = 8  # of one request
_ALLOCATION_MODES = ("ExactCount", "All")
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"

RequestNames = dict[str, set[str]]  # of a claim's requests, with those of their alternatives


def default_claim(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        exactly = request.get("exactly")
        for part in (*(() if exactly is None else (exactly,)), *(request.get("firstAvailable") or ())):
            part.setdefault("allocationMode", "ExactCount")
            if part["allocationMode"] == "ExactCount":
                part.setdefault("count", 1)
            for toleration in part.get("tolerations") or ():
                toleration.setdefault("operator", "Equal")


def request_names(spec: Object) -> RequestNames:
    requests = (spec.get("devices") or {}).get("requests") or ()
    return {
        request.get("name", ""): {part.get("name", "") for part in request.get("firstAvailable") or ()}
        for request in requests
    }


def claim_causes(spec: Object, path: str) -> list[Cause]:
    devices, path = spec.get("devices") or {}, f"{path}.devices"
    known = request_names(spec)
    causes = field.distinct(f"{path}.requests", devices.get("requests") or [], MAX_REQUESTS, _request_causes, _name_of)
    causes += field.bounded(
        f"{path}.constraints",
        devices.get("constraints") or [],
        MAX_CONSTRAINTS,
        lambda constraint, at: _constraint_causes(constraint, at, known),
    )
    return causes + field.bounded(
        f"{path}.config",
        devices.get("config") or [],
        MAX_CONFIGURATIONS,
        lambda config, at: references_causes(config, at, known) + configuration_causes(config, at),
    )


def _name_of(part: Object) -> str:
    name: str = part.get("name", "")
    return name


def _request_causes(request: Object, path: str) -> list[Cause]:
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    causes = label_causes(_name_of(request), f"{path}.name")
    if exactly is None and not alternatives:
        return [*causes, field.required(path, _ONE_KIND)]
    if exactly is not None and alternatives:
        return [*causes, field.invalid(path, None, f"{_ONE_KIND}, but multiple fields are set")]
    if exactly is not None:
        return causes + _devices_causes(exactly, f"{path}.exactly")
    at = f"{path}.firstAvailable"
    return causes + field.distinct(at, alternatives, MAX_ALTERNATIVES, _alternative_causes, _name_of)


def _alternative_causes(part: Object, path: str) -> list[Cause]:
    return label_causes(_name_of(part), f"{path}.name") + _devices_causes(part, path)


def _devices_causes(part: Object, path: str) -> list[Cause]:
    mode, count = part["allocationMode"], part.get("count") or 0
    causes = class_name_causes(part.get("deviceClassName", ""), f"{path}.deviceClassName")
    causes += selector_causes(part.get("selectors") or [], f"{path}.selectors")
    causes += field.one_of(f"{path}.allocationMode", mode, _ALLOCATION_MODES)
    if mode == "ExactCount" and count <= 0:
        causes.append(field.invalid(f"{path}.count", count, "must be greater than zero"))
    elif mode == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        causes.append(field.invalid(f"{path}.count", count, detail))
    for i, toleration in enumerate(part.get("tolerations") or ()):
        causes += toleration_causes(toleration, f"{path}.tolerations[{i}]")
    return causes


def _constraint_causes(constraint: Object, path: str, known: RequestNames) -> list[Cause]:
    causes = references_causes(constraint, path, known)
    for name in ("matchAttribute", "distinctAttribute"):
        if constraint.get(name) is not None:
            return causes + full_name_causes(constraint[name], f"{path}.{name}")
    detail = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    return [*causes, field.required(path, detail)]


def references_causes(part: Object, path: str, known: RequestNames) -> list[Cause]:
    """Return what is wrong with the requests that a part of a claim speaks of."""
    names = part.get("requests") or []
    return field.distinct(
        f"{path}.requests", names, MAX_REQUESTS, lambda name, at: reference_causes(name, at, known), str
    )


def reference_causes(name: str, path: str, known: RequestNames) -> list[Cause]:
    detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
    request, slash, alternative = name.partition("/")
    if "/" in alternative:
        return [field.invalid(path, name, detail)]
    causes = label_causes(request, path) + (label_causes(alternative, path) if slash else [])
    if request not in known or (slash and alternative not in known[request]):
        causes.append(field.invalid(path, name, detail))
    return causes
