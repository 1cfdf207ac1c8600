"""What the kinds of devices' API share: names, selectors, tolerations and taints, configuration, binding conditions.

Limits are Kubernetes' own. Neighbours: `device_claims`, `device_status`, `device_slices`.
"""

from typing import Any

import orjson

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.csi import driver_name_causes

Object = dict[str, Any]

MAX_REQUESTS = 32  # of a claim, and of what refers to them
MAX_CONFIGURATIONS = 32
MAX_SELECTORS = 32
MAX_PARAMETERS_BYTES = 10 << 10
MAX_BINDING_CONDITIONS = 4
MAX_POOL_NAME = 253
MAX_IDENTIFIER = 32
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_OPERATORS = ("Equal", "Exists")


def label_causes(name: str, path: str) -> list[Cause]:
    return field.messages(path, name, names.dns_label(name))


def pool_name_causes(name: str, path: str) -> list[Cause]:
    if not name:
        return [field.required(path)]
    causes = [field.too_long(path, MAX_POOL_NAME)] if len(name) > MAX_POOL_NAME else []
    for part in name[: MAX_POOL_NAME + 1].split("/"):
        causes += field.messages(path, part, names.dns_subdomain(part))
    return causes


def class_name_causes(name: str, path: str) -> list[Cause]:
    return field.messages(path, name, names.dns_subdomain(name)) if name else [field.required(path)]


def qualified_name_causes(name: str, path: str) -> list[Cause]:
    """Return what is wrong with an attribute's or a capacity's name: an identifier, after a driver's domain if any."""
    domain, slash, identifier = name.rpartition("/")
    if "/" in domain:
        return [field.invalid(path, name, "must not contain more than one slash")]
    if not slash:
        return _identifier_causes(name, path)
    causes = driver_name_causes(domain, path) if domain else [field.invalid(path, "", "the domain must not be empty")]
    if not identifier:
        return [*causes, field.invalid(path, "", "the name must not be empty")]
    return causes + _identifier_causes(identifier, path)


def full_name_causes(name: str, path: str) -> list[Cause]:
    """The same, and the domain must be there."""
    causes = qualified_name_causes(name, path)
    if "/" not in name:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        causes.append(field.invalid(path, name, detail))
    return causes


def _identifier_causes(name: str, path: str) -> list[Cause]:
    causes = [field.too_long(path, MAX_IDENTIFIER)] if len(name) > MAX_IDENTIFIER else []
    return causes + field.messages(path, name, names.c_identifier(name))


def selector_causes(selectors: list[Object], path: str) -> list[Cause]:
    return field.bounded(path, selectors, MAX_SELECTORS, _selector_causes)


def _selector_causes(selector: Object, path: str) -> list[Cause]:
    cel = selector.get("cel")
    if cel is None:
        return [field.required(f"{path}.cel")]
    expression, path = cel.get("expression", ""), f"{path}.cel.expression"
    if not expression:
        return [field.required(path)]
    from actors.apiserver.machinery.kinds import device_selectors  # loads CEL: not before somebody writes an expression

    return device_selectors.causes_of(expression, path)


def configuration_causes(config: Object, path: str) -> list[Cause]:
    opaque = config.get("opaque")
    if opaque is None:
        return [field.required(f"{path}.opaque")]
    causes = driver_name_causes(opaque.get("driver", ""), f"{path}.opaque.driver")
    return causes + raw_causes(opaque.get("parameters"), f"{path}.opaque.parameters", MAX_PARAMETERS_BYTES)


def raw_causes(value: Any, path: str, most_bytes: int) -> list[Cause]:
    """Return what is wrong with data that only a driver understands: a JSON object of bounded size."""
    if value is None:
        return [field.required(path)]
    if len(orjson.dumps(value)) > most_bytes:
        return [field.too_long(path, most_bytes)]
    if not isinstance(value, dict):
        return [field.invalid(path, "<value omitted>", "must be a valid JSON object")]
    return []


def toleration_causes(toleration: Object, path: str) -> list[Cause]:
    key, operator, value = (toleration.get(name, "") for name in ("key", "operator", "value"))
    causes = field.messages(f"{path}.key", key, names.qualified_name(key)) if key else []
    if operator == "Exists" and value:
        causes.append(field.invalid(f"{path}.value", value, "must be empty for operator `Exists`"))
    elif operator == "Equal":
        causes += field.messages(f"{path}.value", value, names.label_value(value))
    elif not operator:
        causes.append(field.required(f"{path}.operator"))
    else:
        causes += field.one_of(f"{path}.operator", operator, _OPERATORS)
    return causes + (field.one_of(f"{path}.effect", toleration["effect"], _EFFECTS) if toleration.get("effect") else [])


def taint_causes(taint: Object, path: str) -> list[Cause]:
    key, value, effect = (taint.get(name, "") for name in ("key", "value", "effect"))
    causes = field.messages(f"{path}.key", key, names.qualified_name(key))
    causes += field.messages(f"{path}.value", value, names.label_value(value))
    return causes + (field.one_of(f"{path}.effect", effect, _EFFECTS) if effect else [field.required(f"{path}.effect")])


def binding_causes(part: Object, path: str) -> list[Cause]:
    """Return what is wrong with the conditions that a device's binding waits for, and those that end it."""
    awaited, failures = (part.get(name) or [] for name in ("bindingConditions", "bindingFailureConditions"))
    causes = field.distinct(f"{path}.bindingConditions", awaited, MAX_BINDING_CONDITIONS, _condition_causes, str)
    at = f"{path}.bindingFailureConditions"
    causes += field.distinct(at, failures, MAX_BINDING_CONDITIONS, _condition_causes, str)
    for i, name in enumerate(failures):
        if name in awaited:
            detail = "bindingFailureConditions must not overlap with bindingConditions"
            causes.append(field.invalid(f"{at}[{i}]", name, detail))
    if failures and not awaited:
        detail = "bindingConditions are required to use bindingFailureConditions"
        causes.append(field.invalid(f"{path}.bindingConditions", awaited, detail))
    if awaited and not failures:
        causes.append(field.invalid(at, failures, "bindingFailureConditions are required to use bindingConditions"))
    return causes


def _condition_causes(name: str, path: str) -> list[Cause]:
    return field.messages(path, name, names.qualified_name(name))
