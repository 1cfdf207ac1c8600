"""How much an evaluation may cost, before there is anything to evaluate: from the tree and the declared sizes.

What `interpreter` counts is bounded by this, with Kubernetes' rules to the unit: a rule of a CustomResourceDefinition
that would be refused there is refused here, by the same factor. Some of them are odd and kept for that: a number that
a schema declares has size 0, so comparing it costs nothing; so has a map's key.

Source: google/cel-go's checker. Neighbours: `tree` decodes; `declared` has the sizes; `estimates` knows the functions.
"""

from dataclasses import dataclass
from typing import Any

from actors.apiserver.cel import declared, tree
from actors.apiserver.cel.charges import LIST, MAP, STRUCT
from actors.apiserver.cel.declared import ANYTHING, Declared
from actors.apiserver.cel.estimates import Call, of_call
from actors.apiserver.cel.ranges import MAX, NOTHING, ONE, UNKNOWN, Range, exactly

_ITEMS, _KEYS, _VALUES, _INDICES = "@items", "@keys", "@values", "@indices"
_SCALARS = frozenset({declared.BOOL, declared.DOUBLE, declared.INT, declared.DURATION, declared.TIMESTAMP})
_READ = frozenset({declared.MAP, declared.OBJECT})
_PRIMITIVES = {
    1: declared.BOOL, 2: declared.INT, 3: declared.INT, 4: declared.DOUBLE, 5: declared.STRING, 6: declared.BYTES,
}  # fmt: skip
_WELL_KNOWN = {2: declared.TIMESTAMP, 3: declared.DURATION}
_CHOICE, _AND, _OR, _INDEX = "_?_:_", "_&&_", "_||_", "_[_]"

Path = tuple[str, ...]


def estimate(serialized: bytes, variables: dict[str, Declared]) -> int:
    """Return the most that an evaluation may cost."""
    return bounds(serialized, variables).most


def bounds(serialized: bytes, variables: dict[str, Declared]) -> Range:
    """Return the least and the most that an evaluation may cost."""
    parsed = tree.parse(serialized)
    return _Estimator(parsed, variables).cost(parsed.root)


@dataclass(frozen=True, slots=True)
class _Entries:
    """What is known of the members of a list or map."""

    kind: str
    key: Range
    value: Range

    def __or__(self, other: "_Entries") -> "_Entries":
        return _Entries(self.kind, self.key | other.key, self.value | other.value)


@dataclass(frozen=True, slots=True)
class _Local:
    """A name that the expression itself gives."""

    path: Path
    size: Range | None
    entries: _Entries | None


@dataclass(frozen=True, slots=True)
class _Argument:
    type: Declared
    size: Range
    known_size: Range | None
    member_size: Range | None
    literal: object


class _Estimator:
    def __init__(self, parsed: tree.Tree, variables: dict[str, Declared]) -> None:
        self._types, self._overloads, self._variables = parsed.types, parsed.overloads, variables
        self._paths: dict[int, Path] = {}
        self._sizes: dict[int, Range] = {}
        self._entries: dict[int, _Entries] = {}
        self._locals: dict[str, list[_Local]] = {}

    def cost(self, node: Any) -> Range:
        made = getattr(self, "_" + tree.kind_of(node).removesuffix("_expr"))(node)
        assert isinstance(made, Range)
        return made

    def _const(self, node: Any) -> Range:
        return NOTHING

    def _ident(self, node: Any) -> Range:
        name = node.ident_expr.name
        local = self._local(name)
        self._paths[node.id] = (name,) if local is None else local.path
        return ONE

    def _select(self, node: Any) -> Range:
        select = node.select_expr
        total = self.cost(select.operand)
        if select.test_only:
            return total
        if self._type(select.operand).kind in _READ:
            total = total + ONE
        self._paths[node.id] = (*self._path(select.operand), select.field)
        return total

    def _list(self, node: Any) -> Range:
        total, members = NOTHING, Range(MAX, 0) if node.list_expr.elements else NOTHING
        for one in node.list_expr.elements:
            total = total + self.cost(one)
            members = members | self._size_or_unknown(one)
        self._entries[node.id] = _Entries(declared.LIST, ONE, members)
        return total + exactly(LIST)

    def _struct(self, node: Any) -> Range:
        entries = node.struct_expr.entries
        total, empty = NOTHING, Range(MAX, 0) if entries else NOTHING
        keys = values = empty
        for one in entries:
            total = total + self.cost(one.map_key) + self.cost(one.value)
            keys = keys | self._size_or_unknown(one.map_key)
            values = values | self._size_or_unknown(one.value)
        self._entries[node.id] = _Entries(declared.MAP, keys, values)
        return total + exactly(STRUCT if node.struct_expr.message_name else MAP)

    # --- loops

    def _comprehension(self, node: Any) -> Range:
        loop = node.comprehension_expr
        if tree.is_bind(loop):
            return self._bind(node, loop)
        total = self.cost(loop.iter_range) + self.cost(loop.accu_init)
        self._push(loop.accu_var, self._own(loop.accu_init))
        if loop.iter_var2:
            self._push(loop.iter_var, self._key_of(loop.iter_range))
            self._push(loop.iter_var2, self._value_of(loop.iter_range))
        else:
            of_list = self._container(loop.iter_range) == declared.LIST
            self._push(loop.iter_var, (self._value_of if of_list else self._key_of)(loop.iter_range))
        turn = self.cost(loop.loop_condition) + self.cost(loop.loop_step)
        self._locals[loop.iter_var].pop()
        if loop.iter_var2:
            self._locals[loop.iter_var2].pop()
        total = total + self.cost(loop.result)
        self._locals[loop.accu_var].pop()
        turns = self._size_or_unknown(loop.iter_range)
        self._note_result(node, loop, turns)
        return total + turns * turn

    def _note_result(self, node: Any, loop: Any, turns: Range) -> None:
        kind = tree.kind_of(loop.accu_init)
        if kind == "const_expr":
            self._set_size(node, self._size(loop.accu_init))
        elif kind in ("list_expr", "struct_expr"):
            self._set_size(node, turns)
            self._set_entries(node, self._entries_of(loop.loop_step))

    def _bind(self, node: Any, loop: Any) -> Range:
        total = self.cost(loop.iter_range) + self.cost(loop.accu_init)
        self._push(loop.accu_var, self._own(loop.accu_init))
        total = total + self.cost(loop.result)
        self._locals[loop.accu_var].pop()
        self._set_size(node, self._size(loop.result))
        self._set_entries(node, self._entries_of(loop.result))
        return total

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    def _own(self, node: Any) -> _Local:
        return _Local(self._path(node), self._size(node), self._entries_of(node))

    def _key_of(self, ranged: Any) -> _Local:
        entries = self._entries_of(ranged)
        step = _INDICES if self._container(ranged) == declared.LIST else _KEYS
        return _Local(self._below(ranged, step), entries.key if entries else None, None)

    def _value_of(self, ranged: Any) -> _Local:
        entries = self._entries_of(ranged)
        step = _ITEMS if self._container(ranged) == declared.LIST else _VALUES
        return _Local(self._below(ranged, step), entries.value if entries else None, None)

    def _container(self, node: Any) -> str:
        entries = self._entries_of(node)
        return entries.kind if entries else self._type(node).kind

    def _below(self, node: Any, step: str) -> Path:
        return (*self._path(node), step)

    # --- calls

    def _call(self, node: Any) -> Range:
        call = node.call_expr
        parts = ([call.target] if call.HasField("target") else []) + list(call.args)
        costs = [self.cost(part) for part in parts]
        total = sum(costs, NOTHING)
        if call.function == "dyn":
            self._set_size(node, self._size(parts[0]))
            self._set_entries(node, self._entries_of(parts[0]))
            return total + ONE
        if call.function in (_AND, _OR):
            return Range(costs[0].least, total.most)
        if call.function == _CHOICE:
            return self._choice(node, parts, costs)
        made = self._of_overloads(node, call.function, parts)
        return total + made

    def _choice(self, node: Any, parts: list[Any], costs: list[Range]) -> Range:
        self._set_size(node, self._size_or_unknown(parts[1]) | self._size_or_unknown(parts[2]))
        one, other = self._entries_of(parts[1]), self._entries_of(parts[2])
        self._set_entries(node, one | other if one and other else None)
        return costs[0] + (costs[1] | costs[2])

    def _of_overloads(self, node: Any, function: str, parts: list[Any]) -> Range:
        args: list[Any] = [self._argument(part) for part in parts]
        cost, size = Range(MAX, 0), None
        for overload in self._overloads.get(node.id, ()) or ("",):
            made: Call = of_call(function, overload, args)
            cost = cost | made.cost
            if made.size is not None:
                size = made.size if size is None else size | made.size
        if function == "_+_" and (one := self._entries_of(parts[0])) and (other := self._entries_of(parts[1])):
            self._set_entries(node, one | other)
        if function in (_INDEX, "_[?_]"):
            of_list = self._container(parts[0]) == declared.LIST
            self._paths[node.id] = self._below(parts[0], _ITEMS if of_list else _VALUES)
            entries = self._entries_of(parts[0])
            size = entries.value if entries else None
        if function == "_?._":
            self._paths[node.id] = (*self._path(parts[0]), parts[1].const_expr.string_value)
        self._set_size(node, size if size is not None else self._size(node))
        return cost

    def _argument(self, node: Any) -> _Argument:
        size = self._size(node)
        literal = None
        if node.HasField("const_expr"):
            literal = getattr(node.const_expr, tree.constant_kind(node))
        return _Argument(self._type(node), size or UNKNOWN, size, self._member_size(node), literal)

    def _member_size(self, node: Any) -> Range | None:
        path = self._path(node)
        if path and (found := self._declared((*path, _ITEMS))) is not None:
            return Range(0, found.max_size)
        return None

    # --- what is known of a node

    def _local(self, name: str) -> _Local | None:
        stack = self._locals.get(name)
        return stack[-1] if stack else None

    def _path(self, node: Any) -> Path:
        path = self._paths.get(node.id, ())
        if node.HasField("ident_expr") and (local := self._local(node.ident_expr.name)) is not None:
            path = local.path
        return () if path and path[0] in ("@result", "__result__") else path

    def _declared(self, path: Path) -> Declared | None:
        """Return what stands at a path; None where nothing is declared."""
        found = self._variables.get(path[0]) if path else None
        for step in path[1:]:
            if found is None:
                return None
            if step in (_ITEMS, _VALUES):
                found = found.element
            elif step == _KEYS:
                found = declared.KEY if found.kind == declared.MAP else None
            else:
                found = found.fields.get(step)
        return found

    def _type(self, node: Any) -> Declared:
        """Return a node's type: where it is a path, as it was declared; the checker does not know all of it."""
        path = self._path(node)
        if path and (found := self._declared(path)) is not None:
            return found
        return _type_of(self._types.get(node.id))

    def _size_or_unknown(self, node: Any) -> Range:
        return self._size(node) or UNKNOWN

    def _size(self, node: Any) -> Range | None:
        if (known := self._sizes.get(node.id)) is not None:
            return known
        if (written := _written_size(node)) is not None:
            return written
        path = self._path(node)
        if path and (found := self._declared(path)) is not None:
            self._sizes[node.id] = size = Range(0, found.max_size)
            return size
        if _is_scalar(_type_of(self._types.get(node.id))):
            return ONE
        if node.HasField("ident_expr") and (local := self._local(node.ident_expr.name)) is not None:
            return local.size
        return None

    def _set_size(self, node: Any, size: Range | None) -> None:
        if size is not None:
            self._sizes[node.id] = size

    def _set_entries(self, node: Any, entries: _Entries | None) -> None:
        if entries is not None:
            self._entries[node.id] = entries

    def _entries_of(self, node: Any) -> _Entries | None:
        if (known := self._entries.get(node.id)) is not None:
            return known
        if node.HasField("ident_expr") and (local := self._local(node.ident_expr.name)) is not None:
            return local.entries
        return None


def _written_size(node: Any) -> Range | None:
    """Return the size of what stands in the expression itself."""
    kind = tree.kind_of(node)
    if kind == "const_expr":
        value = getattr(node.const_expr, tree.constant_kind(node))
        return exactly(len(value) if isinstance(value, str | bytes) else 1)
    if kind == "list_expr":
        return exactly(len(node.list_expr.elements))
    return exactly(len(node.struct_expr.entries)) if kind == "struct_expr" else None


def _is_scalar(kind: Declared) -> bool:
    if kind.kind == declared.OPTIONAL and kind.element is not None:
        return _is_scalar(kind.element)
    return kind.kind in _SCALARS


def _type_of(found: Any) -> Declared:
    """Return the type that the checker has noted."""
    if found is None:
        return ANYTHING
    if found.HasField("list_type"):
        return Declared(declared.LIST, element=_type_of(found.list_type.elem_type))
    if found.HasField("map_type"):
        return Declared(declared.MAP, element=_type_of(found.map_type.value_type))
    if found.message_type:
        is_opaque = found.message_type.startswith("kubernetes.")
        return Declared(declared.OPAQUE if is_opaque else declared.OBJECT, name=found.message_type)
    if found.HasField("abstract_type") and found.abstract_type.parameter_types:
        return Declared(declared.OPTIONAL, element=_type_of(found.abstract_type.parameter_types[0]))
    kind = _PRIMITIVES.get(found.primitive or found.wrapper) or _WELL_KNOWN.get(found.well_known)
    return ANYTHING if kind is None else Declared(kind)
