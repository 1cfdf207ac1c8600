"""ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings.

Source: admissionregistration.k8s.io/v1's documentation. Neighbours: `admission_rules`; `policies` in serving
evaluates them, and tells by the status what their types say.
"""

import re
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds import admission_rules as rules
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ACTIONS = ("Audit", "Deny", "Warn")
PATCH_TYPES = ("ApplyConfiguration", "JSONPatch")
NOT_FOUND_ACTIONS = ("Allow", "Deny")
MAX_MESSAGE_BYTES = 20_480  # of a message expression's or an audit annotation's text, as in Kubernetes
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_CEL_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return", "var", "void", "while"}
)  # fmt: skip

Object = dict[str, Any]


def default_match_resources(constraints: Object | None) -> None:
    if constraints is None:
        return
    constraints.setdefault("matchPolicy", "Equivalent")
    constraints.setdefault("namespaceSelector", {})
    constraints.setdefault("objectSelector", {})
    rules.default_rules(constraints.get("resourceRules"))
    rules.default_rules(constraints.get("excludeResourceRules"))


class ValidatingAdmissionPolicyStrategy(WithStatus):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("failurePolicy", "Fail")
        default_match_resources(spec.get("matchConstraints"))

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        causes = _common_causes(spec)
        validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
        if not validations and not annotations:
            detail = "validations or auditAnnotations must contain at least one item"
            causes += [field.required("spec.validations", detail), field.required("spec.auditAnnotations", detail)]
        for i, one in enumerate(validations):
            causes += _validation_causes(one, f"spec.validations[{i}]", spec)
        return causes + _annotation_causes(spec)


class MutatingAdmissionPolicyStrategy(Strategy):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("failurePolicy", "Fail")
        spec.setdefault("reinvocationPolicy", "Never")
        default_match_resources(spec.get("matchConstraints"))

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: Object, old: Object) -> None:
        if obj.get("spec") != old.get("spec"):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        causes = _common_causes(spec)
        policy = spec.get("reinvocationPolicy")
        causes += field.needed_one_of("spec.reinvocationPolicy", policy, rules.REINVOCATION_POLICIES)
        mutations = spec.get("mutations") or []
        if not mutations:
            causes.append(field.required("spec.mutations", "mutations must contain at least one item"))
        for i, one in enumerate(mutations):
            causes += _mutation_causes(one, f"spec.mutations[{i}]", spec)
        return causes


class AdmissionPolicyBindingStrategy(Strategy):
    def __init__(self, *, mutating: bool) -> None:
        self._mutating = mutating

    def default(self, obj: Object) -> None:
        default_match_resources(obj.setdefault("spec", {}).get("matchResources"))

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: Object, old: Object) -> None:
        if obj.get("spec") != old.get("spec"):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        name = spec.get("policyName")
        causes = [] if name else [field.required("spec.policyName")]
        if name:
            causes += field.messages("spec.policyName", name, names.dns_subdomain(name))
        causes += _param_ref_causes(spec.get("paramRef"), "spec.paramRef")
        causes += _match_causes(spec.get("matchResources"), "spec.matchResources", needs_rules=False)
        return causes if self._mutating else causes + _action_causes(spec.get("validationActions") or [])


def _common_causes(spec: Object) -> list[Cause]:
    causes = field.one_of("spec.failurePolicy", spec.get("failurePolicy", "Fail"), rules.FAILURE_POLICIES)
    kind = spec.get("paramKind")
    if kind is not None:
        for name in ("apiVersion", "kind"):
            if not kind.get(name):
                causes.append(field.required(f"spec.paramKind.{name}"))
    if spec.get("matchConstraints") is None:
        causes.append(field.required("spec.matchConstraints"))
    causes += _match_causes(spec.get("matchConstraints"), "spec.matchConstraints", needs_rules=True)
    more = tuple(name for name in names_of(spec) if name != "variables")
    causes += rules.match_condition_causes(spec.get("matchConditions"), "spec.matchConditions", more)
    return causes + _variable_causes(spec)


def names_of(spec: Object) -> tuple[str, ...]:
    """The variables of a policy's expressions: parameters only where it has some."""
    return ("namespaceObject", *(("params",) if spec.get("paramKind") is not None else ()), "variables")


def variables_of(spec: Object) -> tuple[str, ...]:
    """The names of a policy's own variables, as far as they are names."""
    found = {str(one.get("name")) for one in spec.get("variables") or ()}
    return tuple(sorted(name for name in found if _IDENTIFIER.fullmatch(name)))


def _match_causes(constraints: Object | None, at: str, *, needs_rules: bool) -> list[Cause]:
    if constraints is None:
        return []
    causes = rules.selector_causes(constraints, at)
    causes += field.one_of(f"{at}.matchPolicy", constraints.get("matchPolicy", "Equivalent"), rules.MATCH_POLICIES)
    if needs_rules and not constraints.get("resourceRules"):
        causes.append(field.required(f"{at}.resourceRules"))
    for name in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(constraints.get(name) or ()):
            causes += rules.rule_causes(rule, f"{at}.{name}[{i}]")
    return causes


def _variable_causes(spec: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, variable in enumerate(spec.get("variables") or ()):
        at, name = f"spec.variables[{i}]", variable.get("name", "")
        if not name:
            causes.append(field.required(f"{at}.name", "name is required"))
        elif not _IDENTIFIER.fullmatch(name) or name in _CEL_RESERVED:
            causes.append(field.invalid(f"{at}.name", name, "name is not a valid CEL identifier"))
        if name in seen:
            causes.append(field.duplicate(f"{at}.name", name))
        before = tuple(one for one in seen - {name} if _IDENTIFIER.fullmatch(one))
        seen.add(name)
        causes += _expression_causes(variable, f"{at}.expression", (), spec, before)
    return causes


def _validation_causes(validation: Object, at: str, spec: Object) -> list[Cause]:
    causes = _expression_causes(validation, f"{at}.expression", rules.BOOL, spec)
    message, expression = validation.get("message"), (validation.get("expression") or "").strip()
    if message is not None:
        if not message.strip():
            causes.append(field.invalid(f"{at}.message", message, "message must be non-empty if specified"))
        elif "\n" in message.strip():
            causes.append(field.invalid(f"{at}.message", message, "message must not contain line breaks"))
    elif "\n" in expression:
        detail = "message must be specified if expression contains line breaks"
        causes.append(field.required(f"{at}.message", detail))
    if validation.get("messageExpression"):
        text = validation["messageExpression"]
        where = f"{at}.messageExpression"
        causes += rules.expression_causes(text, where, rules.STRING, names_of(spec), variables_of(spec))
    if validation.get("reason"):
        causes += field.one_of(f"{at}.reason", validation["reason"], REASONS)
    return causes


def _annotation_causes(spec: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, annotation in enumerate(spec.get("auditAnnotations") or ()):
        at, key = f"spec.auditAnnotations[{i}]", annotation.get("key", "")
        if not key:
            causes.append(field.required(f"{at}.key"))
        else:
            causes += field.messages(f"{at}.key", key, names.qualified_name(key))
        if key in seen:
            causes.append(field.duplicate(f"{at}.key", key))
        seen.add(key)
        value = {"expression": annotation.get("valueExpression")}
        causes += _expression_causes(value, f"{at}.valueExpression", rules.STRING_OR_NULL, spec)
    return causes


def _mutation_causes(mutation: Object, at: str, spec: Object) -> list[Cause]:
    kind = mutation.get("patchType")
    causes = field.needed_one_of(f"{at}.patchType", kind, PATCH_TYPES)
    for name, of_kind in (("applyConfiguration", "ApplyConfiguration"), ("jsonPatch", "JSONPatch")):
        part = mutation.get(name)
        if kind == of_kind:
            if part is None:
                causes.append(field.required(f"{at}.{name}", f"must be specified when patchType is {of_kind}"))
            else:
                causes += _expression_causes(part, f"{at}.{name}.expression", (), spec)
        elif part is not None:
            causes.append(field.invalid(f"{at}.{name}", part, f"must not be specified when patchType is {kind}"))
    return causes


def _expression_causes(
    part: Object, at: str, wanted: tuple[str, ...], spec: Object, variables: tuple[str, ...] | None = None
) -> list[Cause]:
    """`variables` are those that the expression may read; None: all."""
    expression = part.get("expression") or ""
    if not expression.strip():
        return [field.required(at, "expression is not specified")]
    found = variables_of(spec) if variables is None else tuple(sorted(variables))
    return rules.expression_causes(expression, at, wanted, names_of(spec), found)


def _param_ref_causes(reference: Object | None, at: str) -> list[Cause]:
    if reference is None:
        return []
    name, selector = reference.get("name"), reference.get("selector")
    causes: list[Cause] = []
    if name and selector is not None:
        detail = "name and selector are mutually exclusive"
        causes += [field.forbidden(f"{at}.name", detail), field.forbidden(f"{at}.selector", detail)]
    elif not name and selector is None:
        causes.append(field.required(at, "one of name or selector must be specified"))
    elif name:
        causes += field.messages(f"{at}.name", name, names.path_segment(name))
    else:
        causes += label_selector_causes(selector, f"{at}.selector")
    action = reference.get("parameterNotFoundAction")
    return causes + field.needed_one_of(f"{at}.parameterNotFoundAction", action, NOT_FOUND_ACTIONS)


def _action_causes(actions: list[str]) -> list[Cause]:
    at = "spec.validationActions"
    causes = [] if actions else [field.required(at, "at least one validation action is required")]
    for i, action in enumerate(actions):
        causes += field.one_of(at, action, ACTIONS)
        if action in actions[:i]:
            causes.append(field.duplicate(f"{at}[{i}]", action))
    if "Deny" in actions and "Warn" in actions:
        detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        causes.append(field.invalid(at, actions, f"{detail}response and headers serves no purpose)"))
    return causes
