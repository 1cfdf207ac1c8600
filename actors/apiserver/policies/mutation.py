"""Mutating policies: they change the object by an apply configuration or by a JSON patch that expressions make.

An apply configuration is merged as server-side apply would, without owning anything: maps field by field, lists by
their keys. A policy is evaluated for each binding and parameter, each time on what the one before has left.

Source: Kubernetes' mutating admission policy. Neighbours: `bound`, `expressions`; `machinery.apply` merges;
`admission.mutation` orders policies and webhooks.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from actors.api.errors import ApiError
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.cel.errors import CelError
from actors.apiserver.machinery.apply.kinds import KINDS
from actors.apiserver.machinery.apply.values import BadConfiguration, check, merge
from actors.apiserver.machinery.decode import IGNORE, STRICT, conform_object
from actors.apiserver.machinery.patch import JSON_PATCH, apply_patch_as
from actors.apiserver.policies.bound import BoundPolicy
from actors.apiserver.policies.configuration import Binding, Mutation
from actors.apiserver.policies.expressions import Evaluation
from actors.apiserver.policies.parameters import Misconfigured
from actors.apiserver.webhooks.conditions import ConditionFailed

_IDENTITY = ("apiVersion", "kind")

Object = dict[str, Any]


class Unmade(Exception):
    """A mutation has no value, or none that fits the object; the text says why."""


@dataclass(frozen=True, slots=True)
class PolicyMutator:
    """A mutating policy by one of its bindings, as far as it is for a kind of write."""

    bound: BoundPolicy
    binding: Binding
    uid: str
    is_reinvoked: bool

    async def mutate(self, asked: Admission, obj: Object | None, old: Object | None, at_round: int) -> bool:
        """Change the object; return whether it was. Raises ApiError."""
        if obj is None or not any(one is self.binding for one in self.bound.active(asked, obj, old)):
            return False
        view = self.bound.view(asked)
        request = await self.bound.request(asked, view, obj, old)
        seen = before = request["object"]
        try:
            for evaluation in self.bound.evaluations(asked, request, self.binding):
                for mutation in self.bound.policy.mutations:
                    seen = _applied(evaluation.with_object(seen), mutation, seen)
        except (Misconfigured, ConditionFailed, Unmade) as error:
            if self.bound.policy.fails_closed:
                raise self._refusal(asked, str(error)) from error
            return False
        if seen == before:
            return False
        await view.take(obj, seen, old)
        return True

    def _refusal(self, asked: Admission, why: str) -> ApiError:
        by = f"policy '{self.bound.policy.name}' with binding '{self.binding.name}' denied request"
        error = asked.forbidden(f"{by}: {why}")
        return ApiError(422, "Invalid", error.message, error.details | {"causes": [{"message": f"{by}: {why}"}]})


def mutators(bound: BoundPolicy) -> list[PolicyMutator]:
    policy = bound.policy
    return [
        PolicyMutator(bound, binding, f"{policy.name}/{binding.name}", policy.is_reinvoked)
        for binding, _ in bound.bindings
    ]


def _applied(evaluation: Evaluation, mutation: Mutation, seen: Object) -> Object:
    """Return the object after one mutation; the one given is not changed. Raises Unmade."""
    try:
        value = evaluation.value(mutation.expression)
    except CelError as error:
        raise Unmade(f"expression '{mutation.expression.strip()}' resulted in error: {error}") from error
    if mutation.kind == "JSONPatch":
        return _patched(seen, value)
    return _merged(seen, value)


def _patched(seen: Object, value: Any) -> Object:
    if not isinstance(value, list):
        raise Unmade("JSONPatch expression must evaluate to a list of JSONPatch")
    try:
        patched, _ = apply_patch_as(seen["apiVersion"], seen["kind"], seen, orjson.dumps(value), JSON_PATCH, IGNORE)
    except (ApiError, orjson.JSONEncodeError) as error:
        raise Unmade(f"JSON Patch: {error}") from error
    return patched


def _merged(seen: Object, value: Any) -> Object:
    if not isinstance(value, dict):
        raise Unmade("ApplyConfiguration expression must evaluate to an Object")
    for name in _IDENTITY:
        if value.get(name, seen[name]) != seen[name]:
            raise Unmade(f"ApplyConfiguration may not change {name}")
    of = KINDS.of(seen["apiVersion"], seen["kind"])
    config = {name: seen[name] for name in _IDENTITY} | value
    try:
        conform_object(orjson.loads(orjson.dumps(config)), seen["apiVersion"], seen["kind"], STRICT, [])
        check(of, config)
        return orjson.loads(orjson.dumps(merge(of, seen, config)))
    except (ApiError, BadConfiguration, orjson.JSONEncodeError) as error:
        raise Unmade(f"error applying patch: failed to convert patch object to typed object: {error}") from error
