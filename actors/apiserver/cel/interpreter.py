"""Evaluates a checked tree, and counts what it costs as Kubernetes does.

A tree becomes closures, one for each step. A step adds its cost to the frame and returns its value; an error is an
exception, which `&&`, `||` and the macros over lists may swallow. The costs are those of cel-go's evaluator with what
Kubernetes tells it: 1 for a name and for each field or index that is read of it, nothing for constants, for lists and
maps that are constant, for `&&`, `||` and `?:`, and for a name that is a branch of `?:` or the subject of `has`; for a
call what `charges` says. A step that fails costs what it would have, as do those that it makes fail.

Source: google/cel-go's interpreter. Neighbours: `environment` compiles texts to trees; `frames`, `reading`, `loops` and
`calls` are the steps; `operators` and `delegating` do what is called; `limits` has the bounds.
"""

from collections.abc import Callable, Mapping
from typing import Any

from actors.apiserver.cel import charges, delegating, macros, operators, tree
from actors.apiserver.cel.calls import SPECIAL, caller, set_membership
from actors.apiserver.cel.errors import EvaluationError
from actors.apiserver.cel.frames import Attribute, Frame, Qualifier, Run, Step, constant
from actors.apiserver.cel.limits import Budget
from actors.apiserver.cel.loops import Loop, Turns, binding, listing, quantifier, single
from actors.apiserver.cel.reading import of_attribute, presence, qualified, reader
from actors.apiserver.cel.values import MISSING, Optional, TypeOf, Uint

_CONVERSIONS = frozenset({"bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"})
_OF_LISTS = frozenset({"kubernetes.indexIn", "kubernetes.lastIndexIn"})  # `methods` packs their arguments in a list


class Interpreter:
    """Makes steps of trees. `names` are the variables; any other name is that of a type."""

    def __init__(self, names: frozenset[str], is_typed: bool) -> None:
        self._names = names
        self._is_typed = is_typed

    def compile(self, serialized: bytes) -> Run:
        """Return what evaluates a tree."""
        parsed = tree.parse(serialized)
        return _Compilation(self._names, self._is_typed, parsed.overloads).step(parsed.root).run


class _Compilation:
    def __init__(self, names: frozenset[str], is_typed: bool, overloads: Mapping[int, tuple[str, ...]]) -> None:
        self._names = names
        self._is_typed = is_typed
        self._overloads = overloads
        self._local: dict[str, int] = {}  # the names of the loops around, and how often
        self._late: set[str] = set()  # names of what loops come to, and of what is bound

    def step(self, node: Any) -> Step:
        made = getattr(self, "_" + tree.kind_of(node).removesuffix("_expr"))(node)
        assert isinstance(made, Step)
        return made

    def _const(self, node: Any) -> Step:
        kind = tree.constant_kind(node)
        value = getattr(node.const_expr, kind)
        return constant(
            {"null_value": None, "uint64_value": Uint(value)}.get(kind, value) if kind in _SPECIAL else value
        )

    def _ident(self, node: Any) -> Step:
        name = node.ident_expr.name.removeprefix(".")
        if name not in self._local and name not in self._names:
            return constant(TypeOf(name))
        is_plain = name not in self._late
        return of_attribute(Attribute(reader(name, is_plain), name, is_plain, False, ()))

    def _select(self, node: Any) -> Step:
        select = node.select_expr
        operand = self.step(select.operand)
        if select.test_only:
            return presence(operand, select.field)
        return qualified(operand, Qualifier(select.field, None, False))

    def _list(self, node: Any) -> Step:
        listed = node.list_expr
        steps = [self.step(one) for one in listed.elements]
        optional = frozenset(listed.optional_indices)
        if not optional and all(one.constant is not MISSING for one in steps):
            return constant([one.constant for one in steps])
        return Step(_list_maker([one.run for one in steps], optional))

    def _struct(self, node: Any) -> Step:
        entries = [
            (self.step(one.map_key), self.step(one.value), one.optional_entry) for one in node.struct_expr.entries
        ]
        if all(
            not option and type(key.constant) in _KEYS and value.constant is not MISSING
            for key, value, option in entries
        ):
            made = {key.constant: value.constant for key, value, _ in entries}
            if len(made) == len(entries):  # a key that is there twice is an error when the map is made
                return constant(made)
        return Step(_map_maker([(key.run, value.run, option) for key, value, option in entries]))

    def _comprehension(self, node: Any) -> Step:
        loop = node.comprehension_expr
        self._late.add(loop.accu_var)
        if tree.is_bind(loop):
            start = self.step(loop.accu_init)
            with_name = self._within((loop.accu_var,), loop.result)
            return Step(binding(loop.accu_var, start.run, with_name.run))
        names = (loop.accu_var, loop.iter_var, *([loop.iter_var2] if loop.iter_var2 else []))
        ranged = self.step(loop.iter_range)
        turns = Turns(ranged.run, loop.iter_var, loop.iter_var2)
        if (found := macros.quantifier(loop)) is not None:
            predicate, decider = found
            return Step(quantifier(turns, self._within(names[1:], predicate).run, decider))
        if (only := macros.single(loop)) is not None:
            return Step(single(turns, self._within(names[1:], only).run))
        if (listed := macros.listing(loop)) is not None:
            condition, element = listed
            kept = None if condition is None else self._within(names[1:], condition).run
            return Step(listing(turns, kept, self._within(names[1:], element).run))
        start = self.step(loop.accu_init)
        going_on = self._within(names, loop.loop_condition)
        step = self._within(names, loop.loop_step)
        result = self._within((loop.accu_var,), loop.result)
        return Step(Loop(turns, loop.accu_var, start.run, going_on, step.run, result.run).run)

    def _within(self, names: tuple[str, ...], node: Any) -> Step:
        for name in names:
            self._local[name] = self._local.get(name, 0) + 1
        made = self.step(node)
        for name in names:
            self._local[name] -= 1
            if not self._local[name]:
                del self._local[name]
        return made

    def _call(self, node: Any) -> Step:
        call = node.call_expr
        name, is_member = call.function, call.HasField("target")
        args = list(call.args[0].list_expr.elements) if name in _OF_LISTS and _is_packed(call) else list(call.args)
        steps = [self.step(one) for one in ([call.target] if is_member else []) + args]
        if name in SPECIAL:
            return SPECIAL[name](steps)
        overloads = self._overloads.get(node.id, ())
        if name == "@in" and (member := set_membership(steps, overloads)) is not None:
            return member
        charge = charges.charge_of(name, overloads, self._is_typed)
        do = _function(name, is_member, len(steps))
        if name in _OF_LISTS and _is_packed(call):
            do = _unpacked(do)
        made = Step(caller(do, steps, charge))
        if name in _CONVERSIONS and len(steps) == 1 and steps[0].constant is not MISSING:
            return _folded(made)
        return made


_SPECIAL = frozenset({"null_value", "uint64_value"})
_KEYS = (str, int, bool, Uint)  # what a key of a map may be


def _is_packed(call: Any) -> bool:
    return len(call.args) == 1 and call.args[0].HasField("list_expr")


def _unpacked(do: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: do(list(args))


def _function(name: str, is_member: bool, count: int) -> Callable[..., Any]:
    native = operators.NATIVE.get((name, count))
    if native is not None and not (name == "contains" and not is_member):
        return native
    return delegating.implemented(name) or delegating.of_library(name, is_member, count)


def _folded(step: Step) -> Step:
    """A conversion of a constant is a constant; one that fails does when it is reached."""
    try:
        return constant(step.run(Frame({}, Budget())))
    except EvaluationError:
        return step


# --- lists and maps


def _list_maker(runs: list[Run], optional: frozenset[int]) -> Run:
    def run(frame: Frame) -> list[Any]:
        values = [one(frame) for one in runs]
        frame.cost += charges.LIST
        if not optional:
            return values
        return [
            _opened(one) if i in optional else one
            for i, one in enumerate(values)
            if i not in optional or _is_there(one)
        ]

    return run


def _map_maker(entries: list[tuple[Run, Run, bool]]) -> Run:
    def run(frame: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key_of, value_of, option in entries:
            key, value = key_of(frame), value_of(frame)
            if type(key) not in _KEYS:
                raise EvaluationError(f"unsupported key type: {type(key).__name__}")
            if operators.in_(key, made):
                raise EvaluationError(f"Failed with repeated key: {key}")
            if not option:
                made[key] = value
            elif _is_there(value):
                made[key] = _opened(value)
        frame.cost += charges.MAP
        return made

    return run


def _is_there(option: Any) -> bool:
    if type(option) is not Optional:
        raise EvaluationError("cannot initialize optional entry from non-optional value")
    return option.value is not MISSING


def _opened(option: Optional) -> Any:
    return option.value
