"""The spec of a ResourceSlice: the devices that a driver offers, with attributes, capacity, taints, shared counters.

Neighbour: `devices` asks.
"""

import re
from functools import partial

from actors.api import names
from actors.api.errors import Cause
from actors.api.quantity import EXACT
from actors.apiserver.machinery import field, quantities
from actors.apiserver.machinery.kinds.csi import driver_name_causes
from actors.apiserver.machinery.kinds.device_parts import (
    Object,
    binding_causes,
    label_causes,
    pool_name_causes,
    qualified_name_causes,
    taint_causes,
)
from actors.apiserver.machinery.kinds.placement import node_selector_causes

MAX_DEVICES = 128
MAX_INTRICATE_DEVICES = 64  # of a slice with taints, counters, or lists as attributes
MAX_ATTRIBUTES = 32  # and capacities, of a device
MAX_VALUE_BYTES = 64  # of an attribute
MAX_TAINTS = 16
MAX_COUNTER_SETS = 8
MAX_COUNTERS = 32  # of a set
MAX_CONSUMED_SETS = 2  # by a device
MAX_POLICY_VALUES = 10
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_OF_SLICE = f"exactly one of {', '.join(f'`{name}`' for name in _PLACES)} is required"
_OF_DEVICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_LISTS = ("bools", "ints", "strings", "versions")
_NUMBER, _WORD = r"(0|[1-9]\d*)", r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_is_semantic = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_WORD}(\.{_WORD})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?", re.ASCII
).fullmatch


def slice_causes(spec: Object) -> list[Cause]:
    devices, pool = spec.get("devices") or [], spec.get("pool") or {}
    causes = driver_name_causes(spec.get("driver", ""), "spec.driver")
    causes += pool_name_causes(pool.get("name", ""), "spec.pool.name")
    if pool.get("resourceSliceCount", 0) < 1:
        count = pool.get("resourceSliceCount", 0)
        causes.append(field.invalid("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if pool.get("generation", 0) < 0:
        detail = "must be greater than or equal to zero"
        causes.append(field.invalid("spec.pool.generation", pool["generation"], detail))
    causes += _place_causes(spec, "spec", _PLACES, _OF_SLICE, f"{_OF_SLICE}, but multiple fields are set")
    terms = (spec.get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    if len(terms) > 1:
        detail = "must have exactly one node selector term"
        causes.append(field.invalid("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    if spec.get("sharedCounters") and devices:
        causes.append(field.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    most = MAX_INTRICATE_DEVICES if any(map(_is_intricate, devices)) else MAX_DEVICES
    check = partial(_device_causes, placed=bool(spec.get("perDeviceNodeSelection")))
    causes += field.distinct("spec.devices", devices, most, check, lambda device: device.get("name", ""))
    at, sets = "spec.sharedCounters", spec.get("sharedCounters") or []
    return causes + field.distinct(at, sets, MAX_COUNTER_SETS, _counter_set_causes, lambda one: one.get("name", ""))


def _is_intricate(device: Object) -> bool:
    values = (device.get("attributes") or {}).values()
    return bool(
        device.get("taints") or device.get("consumesCounters") or any(name in one for one in values for name in _LISTS)
    )


def _place_causes(part: Object, path: str, places: tuple[str, ...], none: str, several: str) -> list[Cause]:
    """Return what is wrong with where devices may be used: exactly one way of saying so must be taken."""
    taken, causes = [], []
    for name in places:
        value, at = part.get(name), f"{path}.{name}"
        if value is None:
            continue
        if name == "nodeName" and not value:
            causes.append(field.invalid(at, value, "must be either unset or set to a non-empty string"))
            continue
        if value is False:
            causes.append(field.invalid(at, value, "must be either unset or set to true"))
            continue
        taken.append(f"`{name}`")
        if name == "nodeName":
            causes += field.messages(at, value, names.dns_subdomain(value))
        elif name == "nodeSelector":
            causes += node_selector_causes(value, at)
    if not taken:
        causes.append(field.required(path, none))
    elif len(taken) > 1:
        causes.append(field.invalid(path, f"{{{', '.join(taken)}}}", several))
    return causes


def _device_causes(device: Object, path: str, placed: bool) -> list[Cause]:
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    causes = label_causes(device.get("name", ""), f"{path}.name")
    if len(attributes) + len(capacity) > MAX_ATTRIBUTES:
        detail = f"the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}"
        return [*causes, field.invalid(path, len(attributes) + len(capacity), detail)]
    for name, value in attributes.items():
        causes += qualified_name_causes(name, f"{path}.attributes")
        causes += _attribute_causes(value, f"{path}.attributes[{name}]")
    shared = device.get("allowMultipleAllocations", False)
    for name, value in capacity.items():
        causes += qualified_name_causes(name, f"{path}.capacity")
        causes += _capacity_causes(value, f"{path}.capacity[{name}]", shared)
    causes += field.bounded(f"{path}.taints", device.get("taints") or [], MAX_TAINTS, taint_causes)
    at, consumed = f"{path}.consumesCounters", device.get("consumesCounters") or []
    key = "counterSet"
    check = partial(_counters_causes, key=key)
    causes += field.distinct(at, consumed, MAX_CONSUMED_SETS, check, lambda one: one.get(key, ""))
    own = tuple(name for name in _PLACES[:3] if device.get(name) is not None)
    if placed:
        causes += _place_causes(device, path, _PLACES[:3], _OF_DEVICE, _OF_DEVICE)
    elif own:
        detail = (
            "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in "
            "the ResourceSlice spec"
        )
        causes.append(field.invalid(path, None, detail))
    return causes + binding_causes(device, path)


def _attribute_causes(attribute: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("string", "version"):
        if name in attribute:
            causes += _value_causes(attribute[name], f"{path}.{name}", is_version=name == "version")
    for name in _LISTS:
        if name not in attribute:
            continue
        if not attribute[name]:
            causes.append(field.invalid(f"{path}.{name}", attribute[name], "must not be empty if specified"))
        if name in ("strings", "versions"):
            for i, value in enumerate(attribute[name]):
                causes += _value_causes(value, f"{path}.{name}[{i}]", is_version=name == "versions")
    if len(attribute) != 1:
        causes.append(field.invalid(path, attribute or "", "exactly one value must be specified"))
    return causes


def _value_causes(value: str, path: str, is_version: bool) -> list[Cause]:
    causes: list[Cause] = []
    if len(value.encode()) > MAX_VALUE_BYTES:
        causes.append(field.too_long(path, MAX_VALUE_BYTES))
    if is_version and not _is_semantic(value[: 2 * MAX_VALUE_BYTES]):
        detail = "must be a string compatible with semver.org spec 2.0.0"
        causes.append(field.invalid(path, value, detail))
    return causes


def _capacity_causes(capacity: Object, path: str, shared: bool) -> list[Cause]:
    policy, path = capacity.get("requestPolicy"), f"{path}.requestPolicy"
    if policy is None:
        return []
    if not shared:
        return [field.forbidden(path, "allowMultipleAllocations must be true")]
    values, limits = policy.get("validValues") or [], policy.get("validRange")
    if values and limits is not None:
        detail = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        return [field.forbidden(path, detail)]
    if (values or limits is not None) and policy.get("default") is None:
        named = "validValues" if values else "validRange"
        return [field.required(f"{path}.default", f"required when {named} is defined")]
    if values:
        return _values_causes(policy["default"], values, capacity.get("value", "0"), f"{path}.validValues")
    return (
        []
        if limits is None
        else _range_causes(policy["default"], limits, capacity.get("value", "0"), f"{path}.validRange")
    )


def _values_causes(default: str, values: list[str], most: str, path: str) -> list[Cause]:
    amounts = [quantities.amount(value) for value in values]
    causes = [
        field.invalid(f"{path}[{i + 1}]", values[i + 1], "values must be sorted in ascending order")
        for i in range(len(amounts) - 1)
        if amounts[i] > amounts[i + 1]
    ]

    def too_large(value: str, at: str) -> list[Cause]:
        fits = quantities.amount(value) <= quantities.amount(most)
        return [] if fits else [field.invalid(at, value, f"option is larger than capacity value: {most}")]

    causes += field.distinct(path, values, MAX_POLICY_VALUES, too_large, quantities.canonical)
    if quantities.amount(default) not in amounts:
        detail = "default value is not valid according to the requestPolicy"
        causes.append(field.invalid(path, default, detail))
    return causes


def _range_causes(default: str, limits: Object, most: str, path: str) -> list[Cause]:
    if limits.get("min") is None:
        return [field.required(f"{path}.min", "required when validRange is defined")]
    amount, low, high, step = quantities.amount, limits["min"], limits.get("max"), limits.get("step")
    wrong = [
        ("min", low, amount(low) > amount(most), f"min is larger than capacity value: {most}"),
        ("default", default, amount(default) < amount(low), f"default is less than min: {low}"),
    ]
    if high is not None:
        wrong += [
            ("max", low, amount(low) > amount(high), f"min is larger than max: {high}"),
            ("max", high, amount(high) > amount(most), f"max is larger than capacity value: {most}"),
            ("default", default, amount(default) > amount(high), f"default is more than max: {high}"),
        ]
    if step is not None:
        positive = amount(step) > 0
        wrong.append(("step", step, not positive, "must be greater than zero"))
        for value in (default, high) if positive else ():
            if value is not None and not _in_steps(value, low, step):
                wrong.append(("step", value, True, f"value is not a multiple of a given step ({step}) from ({low})"))
    return [field.invalid(f"{path}.{name}", value, detail) for name, value, holds, detail in wrong if holds]


def _in_steps(value: str, low: str, step: str) -> bool:
    above = EXACT.subtract(quantities.amount(value), quantities.amount(low))
    return EXACT.remainder(above, quantities.amount(step)) == 0


def _counter_set_causes(counters: Object, path: str) -> list[Cause]:
    return _counters_causes(counters, path, key="name")


def _counters_causes(part: Object, path: str, key: str) -> list[Cause]:
    """Return what is wrong with a set of counters, or with what a device takes of one; `key` has the set's name."""
    name, counters = part.get(key, ""), part.get("counters") or {}
    causes = label_causes(name, f"{path}.{key}") if name else [field.required(f"{path}.{key}")]
    at = f"{path}.counters"
    if not counters:
        return [*causes, field.required(at)]
    if len(counters) > MAX_COUNTERS:
        return [*causes, field.too_many(at, len(counters), MAX_COUNTERS)]
    for counter in counters:
        causes += label_causes(counter, at)
    return causes
