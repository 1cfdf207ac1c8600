"""CEL rules of a schema (x-kubernetes-validations): compiled when the first object comes, run on every write.

A rule sees `self`, the value where it stands, and `oldSelf`, what that was before an update. A rule that names oldSelf
is a transition rule: it runs only where there is an old value, or, with optionalOldSelf, always, oldSelf being an
optional. A rule that does not is not run again on a value that has not changed.

All rules of an object share a budget of time; an object that needs more is refused. A single rule is bounded by the
evaluator, and by the estimate of its cost when the definition was written.

Neighbours: `rule_checks` refuses bad rules; `declare` converts values; `node` has the tree that is walked.
"""

from dataclasses import dataclass
from typing import Any

from actors.api.errors import Cause
from actors.apiserver.cel import environment, tree
from actors.apiserver.cel.environment import Program
from actors.apiserver.cel.errors import BudgetExceeded, CelError
from actors.apiserver.extensions.schema import structural
from actors.apiserver.extensions.schema.declare import Convert, converter
from actors.apiserver.extensions.schema.node import UNSET, Node, same
from actors.apiserver.machinery import field
from runtime.clock import Clock

BUDGET_S = 1.0  # of all rules of one object together; usual objects need well under a millisecond
MAX_MESSAGE_BYTES = 5 * 1024  # of an evaluated messageExpression, as Kubernetes

SELF, OLD_SELF, OLD_SELF_LIST = "self", "oldSelf", "oldSelf__"
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"

_REASONS = {
    "FieldValueForbidden": lambda path, value, detail: field.forbidden(path, detail),
    "FieldValueRequired": lambda path, value, detail: field.required(path, detail),
    "FieldValueDuplicate": lambda path, value, detail: field.duplicate(path, value),
}


def with_optional_old_self(rule: str) -> str:
    """Return a rule in which oldSelf is an optional: Python cannot make one, but CEL can, of a list of one or none."""
    made = f"size({OLD_SELF_LIST}) > 0 ? optional.of({OLD_SELF_LIST}[0]) : optional.none()"
    return f"cel.bind({OLD_SELF}, {made}, (\n{rule}\n))"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `path` is appended to that of the value."""

    program: Program
    message: str
    message_program: Program | None
    reason: str
    path: str
    uses_old: bool
    optional_old: bool


def compile_rule(source: dict[str, Any]) -> Rule:
    """Compile a rule that was accepted. Raises CompileError."""
    optional = bool(source.get("optionalOldSelf"))
    env = environment.dynamic(SELF, OLD_SELF_LIST) if optional else environment.dynamic(SELF, OLD_SELF)

    def program(text: str) -> Program:
        return env.compile(with_optional_old_self(text) if optional else text)

    rule = program(source["rule"])
    message = program(source["messageExpression"]) if source.get("messageExpression") else None
    uses_old = optional or OLD_SELF in tree.identifiers(rule.serialized())
    return Rule(
        rule,
        (source.get("message") or "").strip() or f"failed rule: {source['rule'].strip()}",
        message,
        source.get("reason") or "",
        source.get("fieldPath") or "",
        uses_old,
        optional,
    )


class Scope:
    """The rules of a node, and of those below it. Nodes without any have no scope."""

    __slots__ = ("_convert", "fields", "items", "node", "rules", "values")

    def __init__(self, node: Node, rules: tuple[Rule, ...]) -> None:
        self.node = node
        self.rules = rules
        self._convert: Convert | None = converter(node) if rules else None
        self.fields = {name: one for name, inner in node.properties.items() if (one := scope_of(inner)) is not None}
        self.values = scope_of(node.additional) if isinstance(node.additional, Node) else None
        self.items = scope_of(node.items) if node.items is not None else None

    def causes(self, obj: Any, old: Any, clock: Clock) -> list[Cause]:
        """Run all rules on an object; return what failed."""
        run = Run(clock)
        self.run(obj, "", old, run)
        return run.causes

    def run(self, value: Any, path: str, old: Any, run: "Run") -> None:
        """Run all rules on a value and what is in it."""
        if value is None or run.is_over:
            return
        if self.rules and not (old is not UNSET and not self._has_transitions and same(value, old)):
            self._run_own(value, path, old, run)
        if type(value) is dict:
            before = old if type(old) is dict else {}
            prefix = path + "." if path else ""
            for name, part in value.items():
                inner = self.fields.get(name)
                if inner is not None:
                    inner.run(part, prefix + name, before.get(name, UNSET), run)
                elif self.values is not None and name not in self.node.properties:
                    self.values.run(part, f"{path}[{name}]", before.get(name, UNSET), run)
        elif type(value) is list and self.items is not None:
            keyed = self.node.list_type == "map" and type(old) is list
            before = self.node.by_keys(old) if keyed else {}
            for i, part in enumerate(value):
                self.items.run(
                    part, f"{path}[{i}]", before.get(self.node.keys_of(part), UNSET) if before else UNSET, run
                )

    @property
    def _has_transitions(self) -> bool:
        return any(rule.uses_old for rule in self.rules)

    def _run_own(self, value: Any, path: str, old: Any, run: "Run") -> None:
        has_old = old is not UNSET and old is not None
        convert = self._convert
        seen = value if convert is None else convert(value)
        seen_old = (old if convert is None else convert(old)) if has_old else None
        unchanged = has_old and same(value, old)
        for rule in self.rules:
            if run.is_over or (rule.uses_old and not has_old and not rule.optional_old):
                continue
            if unchanged and not rule.uses_old:
                continue
            if rule.optional_old:
                variables = {SELF: seen, OLD_SELF_LIST: [seen_old] if has_old else []}
            else:
                variables = {SELF: seen, OLD_SELF: seen_old}
            run.check(rule, variables, value, path or "<nil>")


class Run:
    """One object's rules being run: causes so far, and the budget."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end = clock.monotonic() + BUDGET_S
        self.causes: list[Cause] = []
        self.is_over = False

    def check(self, rule: Rule, variables: dict[str, Any], value: Any, path: str) -> None:
        try:
            passed = rule.program.evaluate(variables)
        except BudgetExceeded:
            self._stop(path)
            return
        except CelError as error:
            detail = f"rule evaluation error: {error}: evaluating rule: {rule.message}"
            self.causes.append(_cause(rule, path, value, detail))
            return
        if passed is not True:
            self.causes.append(_cause(rule, _where(path, rule.path), value, self._message(rule, variables)))
        if self._clock.monotonic() > self._end:
            self._stop(path)

    def _message(self, rule: Rule, variables: dict[str, Any]) -> str:
        """The message of a failed rule; where its expression has no good value, the plain one."""
        if rule.message_program is None:
            return rule.message
        try:
            text = rule.message_program.evaluate(variables)
        except CelError:
            return rule.message
        if type(text) is not str or not text.strip() or "\n" in text or len(text.encode()) > MAX_MESSAGE_BYTES:
            return rule.message
        return text.strip()

    def _stop(self, path: str) -> None:
        self.is_over = True
        self.causes.append(Cause("FieldValueInvalid", f"Invalid value: {OUT_OF_BUDGET}", path))


def _where(path: str, more: str) -> str:
    if not more:
        return path
    return more.removeprefix(".") if path == "<nil>" else path + (more if more.startswith("[") else "." + more[1:])


def _cause(rule: Rule, path: str, value: Any, detail: str) -> Cause:
    make = _REASONS.get(rule.reason)
    if make is not None:
        return make(path, value, detail)
    if type(value) in (dict, list) or rule.message_program is not None:
        return Cause("FieldValueInvalid", f"Invalid value: {detail}", path)
    return field.invalid(path, value, detail)


def scope_of(node: Node) -> Scope | None:
    """Return the rules of a node and below; None when there are none. Raises CompileError."""
    if not structural.has_rules(node.schema):
        return None
    own = tuple(compile_rule(source) for source in node.schema.get(structural.RULES) or ())
    return Scope(node, own)
