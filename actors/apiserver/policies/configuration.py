"""Policies and their bindings, compiled. Expressions stay text here. Pure.

Neighbours: `admission.dynamic` compiles what the watch cache has; `validation` and `mutation` evaluate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.apiserver.machinery.resource import Resource
from actors.apiserver.webhooks.configuration import compile_conditions
from actors.apiserver.webhooks.matching import Selectors, compile_selectors
from actors.apiserver.webhooks.rules import EQUIVALENT, Match, Rule, compile_rules, equivalents, find_match

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Constraints:
    """MatchResources. Without rules it matches every resource, as a binding's may."""

    rules: tuple[Rule, ...]
    excluded: tuple[Rule, ...]
    match_policy: str
    selectors: Selectors

    def find(self, resources: Iterable[Resource], resource: Resource, subresource: str, operation: str) -> Match | None:
        """Return what matches a kind of write; None when nothing does, or when all of it is excluded."""
        candidates = equivalents(resources, resource, self.match_policy)
        excluded = find_match(self.excluded, candidates, subresource, operation)
        if excluded is not None and not excluded.names:
            return None
        if not self.rules:
            return Match(resource, frozenset())
        return find_match(self.rules, candidates, subresource, operation)

    def excludes(self, name: str, resource: Resource, subresource: str, operation: str) -> bool:
        """Is an object of this name excluded?"""
        match = find_match(self.excluded, [resource], subresource, operation)
        return match is not None and name in match.names


@dataclass(frozen=True, slots=True)
class Validation:
    expression: str
    message: str
    message_expression: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """`kind` is ApplyConfiguration or JSONPatch."""

    kind: str
    expression: str


@dataclass(frozen=True, slots=True)
class ParamRef:
    """What a binding refers to: one object by name, or those that a LabelSelector selects."""

    name: str
    namespace: str
    selector: Object | None
    denies_when_missing: bool


@dataclass(frozen=True, slots=True)
class Binding:
    name: str
    param_ref: ParamRef | None
    constraints: Constraints
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    constraints: Constraints
    conditions: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...]
    param_kind: tuple[str, str] | None  # (apiVersion, kind)
    fails_closed: bool
    is_reinvoked: bool
    validations: tuple[Validation, ...]
    annotations: tuple[tuple[str, str], ...]
    mutations: tuple[Mutation, ...]
    bindings: tuple[Binding, ...]


def compile_policies(policies: Iterable[Object], bindings: Iterable[Object]) -> tuple[Policy, ...]:
    """Return the policies that are bound at all, in the order of their names."""
    of_policy: dict[str, list[Binding]] = {}
    for binding in sorted(bindings, key=_name):
        of_policy.setdefault(binding["spec"].get("policyName", ""), []).append(_binding(binding))
    ordered = sorted(policies, key=_name)
    return tuple(_policy(policy, of_policy[_name(policy)]) for policy in ordered if _name(policy) in of_policy)


def _policy(policy: Object, bindings: Sequence[Binding]) -> Policy:
    spec = policy["spec"]
    kind = spec.get("paramKind")
    return Policy(
        name=_name(policy),
        constraints=_constraints(spec.get("matchConstraints")),
        conditions=compile_conditions(spec.get("matchConditions")),
        variables=tuple((one["name"], one["expression"]) for one in spec.get("variables") or ()),
        param_kind=(kind["apiVersion"], kind["kind"]) if kind else None,
        fails_closed=spec.get("failurePolicy", "Fail") != "Ignore",
        is_reinvoked=spec.get("reinvocationPolicy") == "IfNeeded",
        validations=tuple(_validation(one) for one in spec.get("validations") or ()),
        annotations=tuple((one["key"], one["valueExpression"]) for one in spec.get("auditAnnotations") or ()),
        mutations=tuple(_mutation(one) for one in spec.get("mutations") or ()),
        bindings=tuple(bindings),
    )


def _binding(binding: Object) -> Binding:
    spec = binding["spec"]
    reference = spec.get("paramRef")
    return Binding(
        name=_name(binding),
        param_ref=_param_ref(reference) if reference else None,
        constraints=_constraints(spec.get("matchResources")),
        actions=frozenset(spec.get("validationActions") or ()),
    )


def _param_ref(reference: Mapping[str, Any]) -> ParamRef:
    return ParamRef(
        reference.get("name") or "",
        reference.get("namespace") or "",
        reference.get("selector"),
        reference.get("parameterNotFoundAction") != "Allow",
    )


def _constraints(part: Mapping[str, Any] | None) -> Constraints:
    part = part or {}
    return Constraints(
        compile_rules(part.get("resourceRules")),
        compile_rules(part.get("excludeResourceRules")),
        part.get("matchPolicy") or EQUIVALENT,
        compile_selectors(part),
    )


def _validation(one: Mapping[str, Any]) -> Validation:
    return Validation(
        one["expression"], one.get("message") or "", one.get("messageExpression") or "", one.get("reason") or ""
    )


def _mutation(one: Mapping[str, Any]) -> Mutation:
    part = one.get("applyConfiguration") or one.get("jsonPatch") or {}
    return Mutation(one["patchType"], part.get("expression", ""))


def _name(obj: Object) -> str:
    return obj["metadata"]["name"]
