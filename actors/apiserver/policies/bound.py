"""A policy as far as it is for a kind of write, with those of its bindings that are; and whether it is for this one.

Neighbours: `validation` and `mutation` build upon it; `admission.dynamic` binds.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from actors.apiserver.admission.attributes import NAMESPACES, Admission
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.policies.configuration import Binding, Constraints, Policy
from actors.apiserver.policies.expressions import Evaluation
from actors.apiserver.policies.parameters import find_params
from actors.apiserver.webhooks.conditions import conditions_hold
from actors.apiserver.webhooks.review import request_of
from actors.apiserver.webhooks.rules import Match
from actors.apiserver.webhooks.variables import NAMES, inputs_of
from actors.apiserver.webhooks.views import View, view_of

CONDITION_NAMES = (*NAMES, "namespaceObject", "params")

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BoundPolicy:
    policy: Policy
    match: Match
    bindings: tuple[tuple[Binding, Match], ...]

    def active(self, asked: Admission, obj: Object | None, old: Object | None) -> Iterator[Binding]:
        """Yield the bindings by which the policy is for this very write."""
        if not _is_for(self.policy.constraints, self.match, asked, obj, old):
            return
        for binding, match in self.bindings:
            if _is_for(binding.constraints, match, asked, obj, old):
                yield binding

    def view(self, asked: Admission) -> View:
        return view_of(asked, self.match.resource)

    async def request(self, asked: Admission, view: View, obj: Object | None, old: Object | None) -> Object:
        """Return the request as policies see it."""
        return request_of(asked, view.shown, str(uuid.uuid4()), await view.show(obj), await view.show(old))

    def evaluations(self, asked: Admission, request: Object, binding: Binding) -> Iterator[Evaluation]:
        """Yield an evaluation for each parameter whose match conditions hold. Raises Misconfigured, ConditionFailed."""
        namespace = _namespace_object(asked)
        for params in find_params(asked, self.policy, binding):
            inputs = {**inputs_of(asked, request), "params": params, "namespaceObject": namespace}
            conditions = self.policy.conditions
            if not conditions or conditions_hold(asked, conditions, inputs, CONDITION_NAMES):
                yield Evaluation(asked, inputs, self.policy.variables)


def bind(
    policy: Policy, resources: Iterable[Resource], resource: Resource, subresource: str, operation: str
) -> BoundPolicy | None:
    """Return a policy bound to a kind of write; None when it is not for it, or no binding is."""
    match = policy.constraints.find(resources, resource, subresource, operation)
    if match is None:
        return None
    bindings = []
    for binding in policy.bindings:
        found = binding.constraints.find(resources, resource, subresource, operation)
        if found is not None:
            bindings.append((binding, found))
    return BoundPolicy(policy, match, tuple(bindings)) if bindings else None


def _is_for(constraints: Constraints, match: Match, asked: Admission, obj: Object | None, old: Object | None) -> bool:
    if match.names and asked.name not in match.names:
        return False
    if constraints.excluded and constraints.excludes(asked.name, asked.resource, asked.subresource, asked.operation):
        return False
    return constraints.selectors.match(asked, obj, old)


def _namespace_object(asked: Admission) -> Object | None:
    if not asked.namespace or not asked.resource.namespaced:
        return None
    entry = asked.entry(NAMESPACES, asked.namespace)
    return entry.decode() if entry is not None else None
