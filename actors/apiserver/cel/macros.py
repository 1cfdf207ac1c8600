"""Which macro a comprehension was, told by its shape: `all`, `exists`, `exists_one`, `map`, `filter`, `transformList`.

Neighbours: `interpreter` asks, for `loops` has better loops for these.
"""

from typing import Any


def quantifier(loop: Any) -> tuple[Any, bool] | None:
    """Return the predicate of `all` or `exists`, and what decides: false or true. None for any other loop."""
    if not loop.accu_init.HasField("const_expr") or loop.accu_init.const_expr.WhichOneof("kind") != "bool_value":
        return None
    decider = not loop.accu_init.const_expr.bool_value
    asked = _argument(loop.loop_condition, "@not_strictly_false")
    if decider and asked is not None:
        asked = _argument(asked, "!_")
    step = loop.loop_step.call_expr
    if asked is None or step.function != ("_||_" if decider else "_&&_") or len(step.args) != 2:
        return None
    if not all(_is_accu(one, loop) for one in (asked, step.args[0], loop.result)):
        return None
    return step.args[1], decider


def single(loop: Any) -> Any | None:
    """Return the predicate of `exists_one`. None for any other loop."""
    step, result = loop.loop_step.call_expr, loop.result.call_expr
    is_endless = loop.loop_condition.HasField("const_expr") and loop.loop_condition.const_expr.bool_value
    if not is_endless or not _is_integer(loop.accu_init, 0) or step.function != "_?_:_" or result.function != "_==_":
        return None
    more = step.args[1].call_expr
    counts = more.function == "_+_" and _is_accu(more.args[0], loop) and _is_integer(more.args[1], 1)
    if not counts or not all(_is_accu(one, loop) for one in (step.args[2], result.args[0])):
        return None
    return step.args[0] if _is_integer(result.args[1], 1) else None


def listing(loop: Any) -> tuple[Any | None, Any] | None:
    """Return the condition, if there is one, and the element of a loop that makes a list. None for any other."""
    starts_empty = loop.accu_init.HasField("list_expr") and not loop.accu_init.list_expr.elements
    is_endless = loop.loop_condition.HasField("const_expr") and loop.loop_condition.const_expr.bool_value
    if not starts_empty or not is_endless or not _is_accu(loop.result, loop):
        return None
    step = loop.loop_step.call_expr
    if step.function == "_?_:_" and _is_accu(step.args[2], loop):
        element = _added(step.args[1], loop)
        return None if element is None else (step.args[0], element)
    element = _added(loop.loop_step, loop)
    return None if element is None else (None, element)


def _added(node: Any, loop: Any) -> Any | None:
    """Return what is added to the list that a loop has come to."""
    call = node.call_expr
    if call.function != "_+_" or len(call.args) != 2 or not _is_accu(call.args[0], loop):
        return None
    listed = call.args[1].list_expr
    if not call.args[1].HasField("list_expr") or len(listed.elements) != 1 or listed.optional_indices:
        return None
    return listed.elements[0]


def _is_integer(node: Any, value: int) -> bool:
    constant = node.const_expr
    return (
        node.HasField("const_expr") and constant.WhichOneof("kind") == "int64_value" and constant.int64_value == value
    )


def _argument(node: Any, function: str) -> Any | None:
    call = node.call_expr
    return call.args[0] if call.function == function and len(call.args) == 1 else None


def _is_accu(node: Any, loop: Any) -> bool:
    return node.HasField("ident_expr") and node.ident_expr.name == loop.accu_var
