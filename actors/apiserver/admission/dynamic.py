"""Policies and webhooks, which a cluster's users make: what of them is for a write, and in which order.

Mutating policies come before mutating webhooks, validating policies before validating webhooks. All are compiled from
the watch cache when one of their configurations has changed, and sorted out by resource and operation when such a write
comes first; a write that none is for pays for a comparison of revisions and a look into a dict. Objects that configure
admission are exempt, so that nobody locks the door to the lock.

Neighbours: `chain` asks; `mutation` orders; `policies` and `webhooks` do the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.mutation import FillIn, Mutator, mutate
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.parts import Parts
from actors.apiserver.policies.configuration import Policy, compile_policies
from actors.apiserver.storage.resource_cache import ResourceCache, changed_revision_of
from actors.apiserver.webhooks.configuration import Hook, compile_hooks
from actors.apiserver.webhooks.dispatch import BoundHook, Caller, validate_all
from actors.apiserver.webhooks.rules import equivalents, find_match

if TYPE_CHECKING:
    from actors.apiserver.policies.bound import BoundPolicy

GROUP = "admissionregistration.k8s.io"
_PREFIX = f"/registry/{GROUP}/".encode()
_SOURCES = (
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)

Object = dict[str, Any]
Key = tuple[Resource, str, str]  # resource, subresource, operation

MAX_PLANS = 4096  # kinds of write whose plan is kept


@dataclass(frozen=True, slots=True)
class Plan:
    """What is for one kind of write."""

    mutators: tuple[Mutator, ...] = ()
    policies: "tuple[BoundPolicy, ...]" = ()
    hooks: tuple[BoundHook, ...] = ()


NOTHING = Plan()


class Hooks:
    def __init__(self, caller: Caller | None = None) -> None:
        self._caller = caller or Caller()
        self._sources: tuple[ResourceCache, ...] = ()
        self._seen: tuple[int, ...] = ()
        self._mutating: tuple[Hook, ...] = ()
        self._validating: tuple[Hook, ...] = ()
        self._mutating_policies: tuple[Policy, ...] = ()
        self._validating_policies: tuple[Policy, ...] = ()
        self._plans: dict[Key, Plan] | None = None  # None: there is nothing at all

    def concern(self, asked: Admission) -> bool:
        """Is any of them for this write?"""
        plan = self._plan(asked)
        return plan is not NOTHING and bool(plan.mutators or plan.policies or plan.hooks)

    def mutates(self, asked: Admission) -> bool:
        return bool(self._plan(asked).mutators)

    def validates(self, asked: Admission) -> bool:
        plan = self._plan(asked)
        return bool(plan.policies or plan.hooks)

    async def mutate(self, asked: Admission, obj: Object | None, old: Object | None, fill_in: FillIn | None) -> None:
        """Let everybody change the object. Raises ApiError."""
        await mutate(self._plan(asked).mutators, asked, obj, old, fill_in)

    async def validate(self, asked: Admission, obj: Object | None, old: Object | None) -> None:
        """Let everybody refuse the write. Raises ApiError."""
        plan = self._plan(asked)
        if plan.policies:
            from actors.apiserver.policies.validation import validate  # loads CEL

            await validate(plan.policies, asked, obj, old)
        if plan.hooks:
            await validate_all(plan.hooks, asked, obj, old)

    async def close(self) -> None:
        await self._caller.close()

    def _plan(self, asked: Admission) -> Plan:
        sources = self._sources
        if self._seen != tuple(map(changed_revision_of, sources)) or not sources:
            self._compile(asked.parts)
        if self._plans is None:
            return NOTHING
        key = (asked.resource, asked.subresource, asked.operation)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._planned(asked)
        return plan

    def _compile(self, parts: Parts) -> None:
        self._sources = tuple(parts.cache.at(_PREFIX + name.encode() + b"/") for name in _SOURCES)
        self._seen = tuple(map(changed_revision_of, self._sources))
        mutating, validating, *policies = ([one.decode() for one in of.entries.values()] for of in self._sources)
        self._mutating, self._validating = compile_hooks(mutating), compile_hooks(validating)
        self._mutating_policies = compile_policies(policies[0], policies[1])
        self._validating_policies = compile_policies(policies[2], policies[3])
        found = self._mutating or self._validating or self._mutating_policies or self._validating_policies
        self._plans = {} if found else None

    def _planned(self, asked: Admission) -> Plan:
        if asked.resource.group == GROUP:
            return NOTHING
        mutators: list[Mutator] = []
        for bound in _bound_policies(self._mutating_policies, asked):
            from actors.apiserver.policies.mutation import mutators as by_binding  # loads CEL

            mutators += by_binding(bound)
        return Plan(
            mutators=(*mutators, *self._bound(self._mutating, asked)),
            policies=tuple(_bound_policies(self._validating_policies, asked)),
            hooks=self._bound(self._validating, asked),
        )

    def _bound(self, hooks: tuple[Hook, ...], asked: Admission) -> tuple[BoundHook, ...]:
        found = []
        for hook in hooks:
            shown_as = equivalents(asked.parts.registry, asked.resource, hook.match_policy)
            match = find_match(hook.rules, shown_as, asked.subresource, asked.operation)
            if match is not None:
                found.append(BoundHook(self._caller, hook, match))
        return tuple(found)


def _bound_policies(policies: "tuple[Policy, ...]", asked: Admission) -> "Iterator[BoundPolicy]":
    for policy in policies:
        from actors.apiserver.policies.bound import bind  # loads CEL: not before there is a policy

        bound = bind(policy, asked.parts.registry, asked.resource, asked.subresource, asked.operation)
        if bound is not None:
            yield bound
