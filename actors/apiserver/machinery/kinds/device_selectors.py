"""The CEL expressions that select devices: what they may say of a device, and how much they may cost.

An expression sees `device.driver`, `device.attributes[DOMAIN].NAME` and `device.capacity[DOMAIN].NAME`. It is for a
driver's scheduler to evaluate; here it is only checked, its cost with the largest device that a slice may have.

Importing this loads the language. Source: Kubernetes' dynamic-resource-allocation/cel. Neighbour: `device_parts`.
"""

from functools import cache

from actors.api.errors import Cause
from actors.apiserver.cel import cost, declared, typecheck
from actors.apiserver.cel.declared import Declared, map_of
from actors.apiserver.cel.environment import Environment
from actors.apiserver.cel.errors import CompileError
from actors.apiserver.machinery import field

MAX_COST = 1_000_000  # units: CELSelectorExpressionMaxCost
MAX_CHARS = 10 * 1024  # CELSelectorExpressionMaxLength
MAX_ATTRIBUTES = 32  # of a device, with its capacities
MAX_VALUE_CHARS = 64  # of an attribute
MAX_DRIVER_CHARS = 63

_ATTRIBUTE = Declared(declared.DYN, MAX_VALUE_CHARS, 1)
_QUANTITY = Declared(declared.OPAQUE, 1, 1, name="kubernetes.Quantity")
_DEVICE = Declared(
    declared.OBJECT,
    fields={
        "driver": Declared(declared.STRING, MAX_DRIVER_CHARS),
        "attributes": map_of(map_of(_ATTRIBUTE, MAX_ATTRIBUTES), MAX_ATTRIBUTES),
        "capacity": map_of(map_of(_QUANTITY, MAX_ATTRIBUTES), MAX_ATTRIBUTES),
        "allowMultipleAllocations": Declared(declared.BOOL),
    },
)


@cache
def _environment() -> Environment:
    return typecheck.checked({"device": _DEVICE})


def causes_of(expression: str, path: str) -> list[Cause]:
    """Return what is wrong with a selector."""
    if len(expression) > MAX_CHARS:
        return [field.too_long(path, MAX_CHARS)]
    try:
        program = _environment().compile(expression)
    except CompileError as error:
        return [field.invalid(path, expression, f"compilation failed: {error}")]
    if program.result_type() not in ("BOOL", "DYN"):
        detail = f"must evaluate to bool or the unknown type, not {program.result_type().lower()}"
        return [field.invalid(path, expression, detail)]
    if cost.estimate(program.serialized(), {"device": _DEVICE}) > MAX_COST:
        return [field.forbidden(path, "too complex, exceeds cost limit")]
    return []
