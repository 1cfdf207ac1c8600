"""`quantity('1Gi')`: comparison and arithmetic of resource quantities, exactly."""

from decimal import Decimal
from typing import Any

from actors.api.quantity import parse_quantity
from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import (
    BOOL,
    DOUBLE,
    INT,
    QUANTITY,
    STRING,
    declare,
    function,
    method,
    succeeds,
)

_LARGEST_INT = 2**63 - 1


def _made(amount: Decimal) -> Any:
    return opaque.make("Quantity", format(amount.normalize(), "f"))


def _amount(value: Any) -> Decimal:
    return Decimal(opaque.text_of(value))


def parse(text: str) -> Any:
    return _made(parse_quantity(text))


def _is_integer(value: Any) -> bool:
    amount = _amount(value)
    return amount == amount.to_integral_value() and abs(amount) <= _LARGEST_INT


def _as_integer(value: Any) -> int:
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(_amount(value))


def _sign(value: Any) -> int:
    amount = _amount(value)
    return (amount > 0) - (amount < 0)


def compare(one: Any, other: Any) -> int:
    a, b = _amount(one), _amount(other)
    return (a > b) - (a < b)


def functions() -> list[Any]:
    pair = [QUANTITY, QUANTITY]
    return [
        declare("quantity", function("string_to_quantity", QUANTITY, [STRING], parse)),
        declare("isQuantity", function("is_quantity_string", BOOL, [STRING], succeeds(parse_quantity))),
        declare("isInteger", method("quantity_is_integer", BOOL, [QUANTITY], _is_integer)),
        declare("asInteger", method("quantity_as_integer", INT, [QUANTITY], _as_integer)),
        declare("asApproximateFloat", method("quantity_as_float", DOUBLE, [QUANTITY], lambda q: float(_amount(q)))),
        declare("sign", method("quantity_sign", INT, [QUANTITY], _sign)),
        declare(
            "add",
            method("quantity_add", QUANTITY, pair, lambda a, b: _made(_amount(a) + _amount(b))),
            method("quantity_add_int", QUANTITY, [QUANTITY, INT], lambda a, b: _made(_amount(a) + b)),
        ),
        declare(
            "sub",
            method("quantity_sub", QUANTITY, pair, lambda a, b: _made(_amount(a) - _amount(b))),
            method("quantity_sub_int", QUANTITY, [QUANTITY, INT], lambda a, b: _made(_amount(a) - b)),
        ),
    ]
