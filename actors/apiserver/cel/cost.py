"""How much work an expression may be at most, from its tree and the declared sizes of what it is applied to.

The units and rules are those of Kubernetes' estimator: a unit for a step, a tenth for a character that a step goes
through, loops times what their range may hold. It is no time, but what it bounds is: a rule within the limit is done in
milliseconds, and one whose loops nest over lists without a bound is refused when it is written.

Neighbours: `tree` decodes; `declared` has the sizes; `extensions` and admission policies set the limits.
"""

from dataclasses import dataclass
from typing import Any

from actors.apiserver.cel import declared, tree
from actors.apiserver.cel.declared import ANYTHING, MAX_REQUEST_BYTES, Declared

MAX_COST = 1 << 62  # where estimates stop growing
PER_CHARACTER = 0.1  # of a string that is gone through
REGEX_FACTOR = 0.25  # of each character of a pattern
LIST_COST, STRUCT_COST = 10, 30  # of making a list, a map: Kubernetes' base costs

_THROUGH_BOTH = frozenset({"contains", "matches", "find", "findAll", "indexOf", "lastIndexOf", "replace", "split"})
_THROUGH_ONE = frozenset(
    {
        "startsWith", "endsWith", "lowerAscii", "upperAscii", "trim", "reverse", "join", "substring", "quote", "format",
        "charAt", "encode", "decode", "url", "isURL", "ip", "isIP", "isCanonical", "cidr", "isCIDR", "quantity",
        "isQuantity", "semver", "isSemver", "timestamp", "duration", "string", "bytes", "isSorted", "sum", "min", "max",
        "sort", "distinct", "flatten", "slice", "range", "contains", "intersects", "equivalent", "getQuery",
        "validated", "indexIn", "lastIndexIn", "mapOf", "mapOfEntries",
    }
)  # fmt: skip
_FREE = frozenset({"@in", "_[_]", "_?_:_", "_&&_", "_||_", "!_", "@not_strictly_false"})


@dataclass(slots=True)
class _Value:
    """The cost of an expression so far, and what its value may be."""

    cost: float
    of: Declared


def estimate(serialized: bytes, variables: dict[str, Declared]) -> int:
    """Return the most that an evaluation may cost."""
    return int(min(MAX_COST, _Estimator().cost_of(tree.parse(serialized), variables).cost))


def size_of(value: Declared) -> int:
    return value.max_size if value.kind not in (declared.INT, declared.DOUBLE, declared.BOOL) else 1


class _Estimator:
    def cost_of(self, node: Any, scope: dict[str, Declared]) -> _Value:
        kind = self._kind(node)
        if kind == "const_expr":
            return _Value(0, Declared(declared.STRING, len(node.const_expr.string_value)))
        if kind == "ident_expr":
            return _Value(1, scope.get(node.ident_expr.name, ANYTHING))
        if kind == "select_expr":
            return self._select(node.select_expr, scope)
        if kind == "call_expr":
            return self._call(node.call_expr, scope)
        if kind == "list_expr":
            return self._list(node.list_expr, scope)
        if kind == "struct_expr":
            parts = [self.cost_of(part, scope) for e in node.struct_expr.entries for part in (e.map_key, e.value)]
            return _Value(STRUCT_COST + sum(part.cost for part in parts), Declared(declared.MAP, len(parts) // 2))
        if kind == "comprehension_expr":
            return self._loop(node.comprehension_expr, scope)
        return _Value(0, ANYTHING)

    def _kind(self, node: Any) -> str:
        return next((field.name for field, _ in node.ListFields() if field.name.endswith("_expr")), "const_expr")

    def _select(self, node: Any, scope: dict[str, Declared]) -> _Value:
        operand = self.cost_of(node.operand, scope)
        return _Value(operand.cost + 1, _member(operand.of, node.field))

    def _list(self, node: Any, scope: dict[str, Declared]) -> _Value:
        parts = [self.cost_of(part, scope) for part in node.elements]
        largest = max((part.of for part in parts), key=size_of, default=ANYTHING)
        made = Declared(declared.LIST, len(parts), element=largest)
        return _Value(LIST_COST + sum(part.cost for part in parts), made)

    def _loop(self, node: Any, scope: dict[str, Declared]) -> _Value:
        """A comprehension: its condition and step once for each of the range."""
        ranged = self.cost_of(node.iter_range, scope)
        start = self.cost_of(node.accu_init, scope)
        times = ranged.of.max_size
        element = ranged.of.element or ANYTHING
        key = element if ranged.of.kind == declared.LIST else Declared(declared.STRING)
        inner = {**scope, node.accu_var: start.of, node.iter_var: key}
        if node.iter_var2:
            inner |= {node.iter_var: Declared(declared.INT), node.iter_var2: element}
        condition, step = self.cost_of(node.loop_condition, inner), self.cost_of(node.loop_step, inner)
        grown = start.of
        if start.of.kind == declared.LIST:  # map and filter add to a list
            added = step.of.element or ANYTHING
            grown = Declared(declared.LIST, times, element=element if added is ANYTHING else added)
        result = self.cost_of(node.result, {**scope, node.accu_var: grown})
        cost = ranged.cost + start.cost + times * (condition.cost + step.cost) + result.cost
        return _Value(min(MAX_COST, cost), result.of)

    def _call(self, node: Any, scope: dict[str, Declared]) -> _Value:
        values = [self.cost_of(node.target, scope)] if node.HasField("target") else []
        values += [self.cost_of(argument, scope) for argument in node.args]
        name, sizes = node.function, [size_of(value.of) for value in values]
        if name == "_?_:_":
            return self._choice(values)
        if name in ("_&&_", "_||_"):
            return _Value(sum(value.cost for value in values), Declared(declared.BOOL))
        total = sum(value.cost for value in values) + _own_cost(name, values, sizes)
        return _Value(min(MAX_COST, total), _result(name, values))

    def _choice(self, values: list[_Value]) -> _Value:
        condition, one, other = values
        larger = one if size_of(one.of) >= size_of(other.of) else other
        return _Value(condition.cost + max(one.cost, other.cost), larger.of)


def _own_cost(name: str, values: list[_Value], sizes: list[int]) -> float:
    """What a function costs besides its arguments."""
    if name == "matches":
        return max(1, sizes[0] * PER_CHARACTER) * max(1, sizes[1] * REGEX_FACTOR)
    if name == "@in":
        inside = values[1].of
        each = size_of(values[0].of) * PER_CHARACTER if values[0].of.kind == declared.STRING else 1
        return sizes[1] * max(1, each) if inside.kind != declared.MAP else 1
    if name in ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"):
        return max(1, min(sizes) * PER_CHARACTER) if _are_long(values) else 1
    if name == "_+_":
        return max(1, sum(sizes) * PER_CHARACTER) if _are_long(values) else 1
    if name in _THROUGH_BOTH:
        return max(1, sizes[0] * PER_CHARACTER) * max(1, (sizes[1] if len(sizes) > 1 else 1) * PER_CHARACTER)
    if name.rpartition(".")[2] in _THROUGH_ONE:
        return max(1, max(sizes, default=0) * PER_CHARACTER)
    return 0 if name in _FREE else 1


def _are_long(values: list[_Value]) -> bool:
    return all(value.of.kind not in (declared.INT, declared.DOUBLE, declared.BOOL) for value in values)


def _result(name: str, values: list[_Value]) -> Declared:
    """What a function's value may be, as far as its size matters."""
    first = values[0].of if values else ANYTHING
    if name in ("_[_]", "_[?_]", "_?._"):
        return first.element or ANYTHING
    if name == "_+_":
        size = min(MAX_REQUEST_BYTES, sum(size_of(value.of) for value in values))
        return Declared(first.kind, size, element=first.element)
    if name in ("lowerAscii", "upperAscii", "trim", "reverse", "substring", "replace", "find", "sort", "distinct",
                "slice", "orValue", "dyn", "value", "optional.of", "optional.ofNonZeroValue", "or"):  # fmt: skip
        return first
    if name in ("split", "findAll"):
        return Declared(declared.LIST, first.max_size, element=first)
    if name in ("size", "kubernetes.indexIn", "kubernetes.lastIndexIn", "getSeconds", "int"):
        return Declared(declared.INT)
    if name in ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "!_", "contains", "matches", "startsWith"):
        return Declared(declared.BOOL)
    return ANYTHING if name in ("join", "format", "string") else Declared(declared.INT)


def _member(value: Declared, name: str) -> Declared:
    if value.kind == declared.OBJECT:
        return value.fields.get(name, ANYTHING)
    return value.element or ANYTHING
