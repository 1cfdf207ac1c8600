"""RBAC's rules, compiled to sets: does a rule allow a request, does one set of rules cover another?

Neighbours: `rbac` finds the rules of a subject; `admission.rbac` keeps people from granting what they do not have.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is to be decided on. For a non-resource request only `verb` and `path` count."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    is_resource: bool = True
    field_selector: str = ""  # of a list or watch
    version: str = ""  # of a resource; only webhooks look at it


class Rule:
    """A PolicyRule. `*` stands for all; `pods/*` is not RBAC, but `*/scale` is."""

    __slots__ = ("groups", "names", "paths", "prefixes", "resources", "source", "verbs")

    def __init__(self, source: dict[str, Any]) -> None:
        self.source = source
        self.verbs = frozenset(source.get("verbs") or ())
        self.groups = frozenset(source.get("apiGroups") or ())
        self.resources = frozenset(source.get("resources") or ())
        self.names = frozenset(source.get("resourceNames") or ())
        urls = source.get("nonResourceURLs") or ()
        self.paths = frozenset(urls)
        self.prefixes = tuple(url[:-1] for url in urls if url.endswith("*"))

    def allows(self, asked: Attributes) -> bool:
        if asked.verb not in self.verbs and "*" not in self.verbs:
            return False
        if not asked.is_resource:
            return asked.path in self.paths or (bool(self.prefixes) and asked.path.startswith(self.prefixes))
        if asked.group not in self.groups and "*" not in self.groups:
            return False
        return self._allows_resource(asked) and (not self.names or asked.name in self.names)

    def _allows_resource(self, asked: Attributes) -> bool:
        resources = self.resources
        if "*" in resources:
            return True
        if not asked.subresource:
            return asked.resource in resources
        return f"{asked.resource}/{asked.subresource}" in resources or f"*/{asked.subresource}" in resources


def compile_rules(sources: Iterable[dict[str, Any]] | None) -> tuple[Rule, ...]:
    return tuple(Rule(source) for source in sources or ())


def uncovered(wanted: Iterable[Rule], held: Iterable[Rule]) -> list[dict[str, Any]]:
    """Return the rules, broken down to single permissions, that `held` does not allow; [] when it covers all."""
    held = tuple(held)
    return [one.source for rule in wanted for one in _broken_down(rule) if not any(_covers(h, one) for h in held)]


def _broken_down(rule: Rule) -> Iterable[Rule]:
    """One rule for each verb, group, resource and name of a rule."""
    for verb in rule.verbs:
        for url in rule.paths:
            yield Rule({"verbs": [verb], "nonResourceURLs": [url]})
        for group in rule.groups:
            for resource in rule.resources:
                single = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                if not rule.names:
                    yield Rule(single)
                for name in rule.names:
                    yield Rule({**single, "resourceNames": [name]})


def _covers(held: Rule, one: Rule) -> bool:
    """Does a rule cover a broken-down one?"""
    if "*" not in held.verbs and not one.verbs <= held.verbs:
        return False
    if one.paths:
        url = next(iter(one.paths))
        return url in held.paths or url.removesuffix("*").startswith(held.prefixes or ("\0",))
    if "*" not in held.groups and not one.groups <= held.groups:
        return False
    if held.names and not (one.names and one.names <= held.names):
        return False
    resource, _, subresource = next(iter(one.resources)).partition("/")
    if "*" in held.resources or next(iter(one.resources)) in held.resources:
        return True
    return bool(subresource) and f"*/{subresource}" in held.resources
