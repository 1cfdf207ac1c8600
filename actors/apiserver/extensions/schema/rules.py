"""CEL rules of a schema (x-kubernetes-validations): compiled when the first object comes, run on every write.

A rule sees `self`, the value where it stands, and `oldSelf`, what that was before an update. A rule that names oldSelf
is a transition rule: it runs only where there is an old value, or, with optionalOldSelf, always, oldSelf being an
optional. A rule that does not is not run again on a value that has not changed, nor within one.

All rules of an object share a budget of cost; when it is spent, or a single rule did more than one may, the object is
refused and no further rule is run.

Neighbours: `rule_checks` refuses bad rules; `declare` converts values; `node` has the tree that is walked.
"""

from dataclasses import dataclass
from typing import Any

from actors.api.errors import Cause
from actors.apiserver.cel import environment, tree
from actors.apiserver.cel.environment import Program
from actors.apiserver.cel.errors import CelError, CostExceeded, OutOfBudget
from actors.apiserver.cel.limits import OUT_OF_BUDGET, RUNTIME, Budget
from actors.apiserver.cel.values import NONE, Optional
from actors.apiserver.extensions.schema import structural
from actors.apiserver.extensions.schema.declare import Convert, converter
from actors.apiserver.extensions.schema.node import UNSET, Node, same
from actors.apiserver.machinery import field

MAX_MESSAGE_BYTES = 5 * 1024  # of an evaluated messageExpression, as Kubernetes

SELF, OLD_SELF, OLD_SELF_LIST = "self", "oldSelf", "oldSelf__"
_OUT_OF_BUDGET_FOR_MESSAGE = OUT_OF_BUDGET.replace("validation failed", "messageExpression evaluation failed")

_REASONS = {
    "FieldValueForbidden": lambda path, value, detail: field.forbidden(path, detail),
    "FieldValueRequired": lambda path, value, detail: field.required(path, detail),
    "FieldValueDuplicate": lambda path, value, detail: field.duplicate(path, value),
}


def with_optional_old_self(rule: str) -> str:
    """Return a rule whose oldSelf is an optional, for the checker: no type of a variable can say that it is one."""
    made = f"size({OLD_SELF_LIST}) > 0 ? optional.of({OLD_SELF_LIST}[0]) : optional.none()"
    return f"cel.bind({OLD_SELF}, {made}, (\n{rule}\n))"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `path` is appended to that of the value; `told` is how an error names the rule."""

    program: Program
    message: str
    told: str
    message_program: Program | None
    message_source: str
    reason: str
    path: str
    uses_old: bool
    optional_old: bool


def compile_rule(source: dict[str, Any]) -> Rule:
    """Compile a rule that was accepted. Raises CompileError."""
    env = environment.typed(SELF, OLD_SELF)
    rule = env.compile(source["rule"])
    written = source.get("messageExpression") or ""
    optional, text = bool(source.get("optionalOldSelf")), source["rule"].strip()
    message = (source.get("message") or "").strip()
    return Rule(
        program=rule,
        message=message or f"failed rule: {text}",
        told=message or text,
        message_program=env.compile(written) if written else None,
        message_source=written,
        reason=source.get("reason") or "",
        path=source.get("fieldPath") or "",
        uses_old=optional or OLD_SELF in tree.identifiers(rule.serialized()),
        optional_old=optional,
    )


class Scope:
    """The rules of a node, and of those below it. Nodes without any have no scope."""

    __slots__ = ("_convert", "_has_transitions", "fields", "items", "kind", "node", "rules", "values")

    def __init__(self, node: Node, rules: tuple[Rule, ...]) -> None:
        self.node = node
        self.rules = rules
        self.kind = node.wanted if node.types else ""
        self._convert: Convert | None = converter(node) if rules else None
        self.fields = {name: one for name, inner in node.properties.items() if (one := scope_of(inner)) is not None}
        self.values = scope_of(node.additional) if isinstance(node.additional, Node) else None
        self.items = scope_of(node.items) if node.items is not None else None
        self._has_transitions: bool
        below = [one for one in (*self.fields.values(), self.values, self.items) if one is not None]
        self._has_transitions = any(rule.uses_old for rule in rules) or any(one._has_transitions for one in below)

    def causes(self, obj: Any, old: Any) -> list[Cause]:
        """Run all rules on an object; return what failed."""
        run = Run()
        self.run(obj, "", old, run)
        return run.causes

    def run(self, value: Any, path: str, old: Any, run: "Run", is_within_same: bool = False) -> None:
        """Run all rules on a value and what is in it. `is_within_same`: it is part of what has not changed."""
        if value is None or run.is_over:
            return
        is_same = is_within_same or (old is not UNSET and same(value, old))
        if is_same and not self._has_transitions:
            return
        if self.rules:
            self._run_own(value, path, old, run, is_same)
        if type(value) is dict:
            self._run_members(value, path, old, run, is_same)
        elif type(value) is list and self.items is not None:
            keyed = self.node.list_type == "map" and type(old) is list
            before = self.node.by_keys(old) if keyed else {}
            for i, part in enumerate(value):
                past = before.get(self.node.keys_of(part), UNSET) if before else UNSET
                self.items.run(part, f"{path}[{i}]", past, run, is_same)

    def _run_members(self, value: dict[str, Any], path: str, old: Any, run: "Run", is_same: bool) -> None:
        before = old if type(old) is dict and self.node.map_type != "atomic" else {}
        prefix = path + "." if path else ""
        for name, part in value.items():
            inner = self.fields.get(name)
            if inner is not None:
                inner.run(part, prefix + name, before.get(name, UNSET), run, is_same)
            elif self.values is not None and name not in self.node.properties:
                self.values.run(part, f"{path}[{name}]", before.get(name, UNSET), run, is_same)

    def _run_own(self, value: Any, path: str, old: Any, run: "Run", is_same: bool) -> None:
        has_old = old is not UNSET and old is not None
        convert = self._convert
        seen = value if convert is None else convert(value)
        seen_old = (old if convert is None else convert(old)) if has_old else None
        subject = Subject(path or "<nil>", value, self.kind)
        for rule in self.rules:
            if run.is_over or (rule.uses_old and not has_old and not rule.optional_old):
                continue
            if is_same and not rule.uses_old:
                continue
            before = (Optional(seen_old) if has_old else NONE) if rule.optional_old else seen_old
            run.check(rule, {SELF: seen, OLD_SELF: before}, subject)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule is run on. `kind` is the schema's type, which errors show in place of the value."""

    path: str
    value: Any
    kind: str

    def refused(self, detail: str) -> Cause:
        return field.invalid(self.path, self.kind, detail)


class Run:
    """One object's rules being run: causes so far, and the budget."""

    def __init__(self) -> None:
        self._budget = Budget(RUNTIME)
        self.causes: list[Cause] = []
        self.is_over = False

    def check(self, rule: Rule, variables: dict[str, Any], subject: Subject) -> None:
        if self._budget.left <= 0:
            self._stop(subject.refused(OUT_OF_BUDGET))
            return
        try:
            passed = rule.program.evaluate(variables, self._budget)
        except OutOfBudget:
            self._stop(subject.refused(OUT_OF_BUDGET))
            return
        except CostExceeded as error:
            detail = "no further validation rules will be run due to call cost exceeds limit for rule"
            self._stop(subject.refused(f"'{error}': {detail}: {rule.told}"))
            return
        except CelError as error:
            self.causes.append(subject.refused(_failure(error, rule)))
            return
        if passed is not True:
            self._tell(rule, variables, subject)

    def _tell(self, rule: Rule, variables: dict[str, Any], subject: Subject) -> None:
        where = _where(subject.path, rule.path)
        try:
            message = self._message(rule, variables)
        except OutOfBudget:
            self._stop(field.invalid(where, subject.kind, _OUT_OF_BUDGET_FOR_MESSAGE))
            return
        except CostExceeded:
            detail = "no further validation rules will be run due to call cost exceeds limit for messageExpression"
            self._stop(field.invalid(where, subject.kind, f"{detail}: {field.shown(rule.message_source)}"))
            return
        self.causes.append(_cause(rule, where, subject.value, message))

    def _message(self, rule: Rule, variables: dict[str, Any]) -> str:
        """The message of a failed rule; where its expression has no good value, the plain one. Raises Stopped."""
        if rule.message_program is None:
            return rule.message
        try:
            text = rule.message_program.evaluate(variables, self._budget)
        except (OutOfBudget, CostExceeded):
            raise
        except CelError:
            return rule.message
        if type(text) is not str or not text.strip() or "\n" in text or len(text.encode()) > MAX_MESSAGE_BYTES:
            return rule.message
        return text.strip()

    def _stop(self, cause: Cause) -> None:
        self.is_over = True
        self.causes.append(cause)


def _failure(error: CelError, rule: Rule) -> str:
    if str(error).startswith("no such overload"):
        wrong = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{error}': {wrong}: {rule.told}"
    return f"{error} evaluating rule: {rule.told}"


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
