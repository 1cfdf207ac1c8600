"""The status of a ResourceClaim: what was allocated, for whom it is reserved, and what drivers say of the devices.

Neighbours: `devices` asks; `device_claims` has the requests that are referred to.
"""

import ipaddress
import re
from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.conditions import condition_causes
from actors.apiserver.machinery.kinds.csi import driver_name_causes
from actors.apiserver.machinery.kinds.device_claims import (
    RequestNames,
    reference_causes,
    references_causes,
    request_names,
)
from actors.apiserver.machinery.kinds.device_parts import (
    MAX_CONFIGURATIONS,
    MAX_REQUESTS,
    Object,
    binding_causes,
    configuration_causes,
    label_causes,
    pool_name_causes,
    raw_causes,
    toleration_causes,
)
from actors.apiserver.machinery.kinds.placement import node_selector_causes

MAX_RESERVATIONS = 256
MAX_CONDITIONS = 8  # of a device
MAX_DATA_BYTES = 10 << 10
MAX_INTERFACE_NAME = 256
MAX_HARDWARE_ADDRESS = 128
MAX_ADDRESSES = 16
_ANY_NUMBER = 1 << 30  # of devices that drivers speak of: as many as were allocated
_SOURCES = ("FromClaim", "FromClass")
_is_uid = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def claim_status_causes(obj: Object, old: Object) -> list[Cause]:
    status, before, path = obj.get("status") or {}, old.get("status") or {}, "status"
    allocation, reserved = status.get("allocation"), status.get("reservedFor") or []
    at = f"{path}.reservedFor"
    causes = field.distinct(at, reserved, MAX_RESERVATIONS, _consumer_causes, lambda one: one.get("uid", ""))
    results = ((allocation or {}).get("devices") or {}).get("results") or ()
    allocated = {_identity(result) for result in results}
    causes += field.distinct(
        f"{path}.devices",
        status.get("devices") or [],
        _ANY_NUMBER,
        lambda device, where: _device_causes(device, where, allocated),
        _identity,
    )
    if reserved and allocation is None:
        causes.append(field.forbidden(at, "may not be specified when `allocated` is not set"))
    elif obj["metadata"].get("deletionTimestamp") and any(
        consumer not in (before.get("reservedFor") or ()) for consumer in reserved
    ):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        causes.append(field.forbidden(at, detail))
    if allocation is None:
        return causes
    if (known := before.get("allocation")) is not None:
        changed = allocation != known
        return [*causes, field.immutable(f"{path}.allocation", allocation)] if changed else causes
    return causes + _allocation_causes(allocation, f"{path}.allocation", request_names(obj.get("spec") or {}))


def _identity(device: Object) -> tuple[Any, ...]:
    return tuple(device.get(name) or "" for name in ("driver", "pool", "device", "shareID"))


def _consumer_causes(consumer: Object, path: str) -> list[Cause]:
    return [field.required(f"{path}.{name}") for name in ("resource", "name", "uid") if not consumer.get(name)]


def _allocation_causes(allocation: Object, path: str, known: RequestNames) -> list[Cause]:
    devices = allocation.get("devices") or {}
    causes = field.bounded(
        f"{path}.devices.results",
        devices.get("results") or [],
        MAX_REQUESTS,
        lambda result, at: _result_causes(result, at, known),
    )
    causes += field.bounded(
        f"{path}.devices.config",
        devices.get("config") or [],
        2 * MAX_CONFIGURATIONS,  # those of the class and those of the claim
        lambda config, at: _configuration_causes(config, at, known),
    )
    if allocation.get("nodeSelector") is not None:
        causes += node_selector_causes(allocation["nodeSelector"], f"{path}.nodeSelector")
    return causes


def _result_causes(result: Object, path: str, known: RequestNames) -> list[Cause]:
    causes = reference_causes(result.get("request", ""), f"{path}.request", known)
    causes += _place_causes(result, path) + binding_causes(result, path)
    for i, toleration in enumerate(result.get("tolerations") or ()):
        causes += toleration_causes(toleration, f"{path}.tolerations[{i}]")
    return causes


def _place_causes(part: Object, path: str) -> list[Cause]:
    """Return what is wrong with the names of a device, which say where it is."""
    causes = driver_name_causes(part.get("driver", ""), f"{path}.driver")
    causes += pool_name_causes(part.get("pool", ""), f"{path}.pool")
    causes += label_causes(part.get("device", ""), f"{path}.device")
    share = part.get("shareID")
    if share is not None and not _is_uid(share):
        detail = (
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase "
            "hexadecimal characters"
        )
        causes.append(field.invalid(f"{path}.shareID", share, detail))
    return causes


def _configuration_causes(config: Object, path: str, known: RequestNames) -> list[Cause]:
    source = config.get("source", "")
    at = f"{path}.source"
    causes = field.one_of(at, source, _SOURCES) if source else [field.required(at)]
    return causes + references_causes(config, path, known) + configuration_causes(config, path)


def _device_causes(device: Object, path: str, allocated: set[tuple[Any, ...]]) -> list[Cause]:
    causes = _place_causes(device, path)
    if _identity(device) not in allocated:
        shown = "/".join(part for part in _identity(device) if part)
        causes.append(field.invalid(path, shown, "must be an allocated device in the claim"))
    conditions = device.get("conditions") or []
    if len(conditions) > MAX_CONDITIONS:
        causes.append(field.too_many(f"{path}.conditions", len(conditions), MAX_CONDITIONS))
    causes += condition_causes(conditions, f"{path}.conditions")
    if device.get("data") is not None:
        causes += raw_causes(device["data"], f"{path}.data", MAX_DATA_BYTES)
    return causes + _network_causes(device.get("networkData") or {}, f"{path}.networkData")


def _network_causes(data: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for name, most in (("interfaceName", MAX_INTERFACE_NAME), ("hardwareAddress", MAX_HARDWARE_ADDRESS)):
        if len(data.get(name, "")) > most:
            causes.append(field.too_long(f"{path}.{name}", most))
    return causes + field.distinct(f"{path}.ips", data.get("ips") or [], MAX_ADDRESSES, _interface_causes, str)


def _interface_causes(address: str, path: str) -> list[Cause]:
    """Return what is wrong with an address and the length of its network, such as 192.0.2.5/24."""
    try:
        found = ipaddress.ip_interface(address) if "/" in address else None
    except ValueError:
        found = None
    if found is None:
        detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        return [field.invalid(path, address, detail)]
    if str(found) != address:
        return [field.invalid(path, address, f'must be in canonical form ("{found}")')]
    return []
