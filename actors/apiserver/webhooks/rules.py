"""Which writes a webhook or a policy is for: operations, groups, versions, resources, subresources, scope. Pure.

With matchPolicy Equivalent a rule that names another version, or another group, of the same objects matches too, and
the object is shown as that one.

Neighbours: `configuration` and `policies` compile rules; `admission.dynamic` keeps what matched.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.apiserver.machinery.resource import Resource

ANY = "*"
EQUIVALENT = "Equivalent"


@dataclass(frozen=True, slots=True)
class Rule:
    """RuleWithOperations, and for policies the names that it is confined to."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]  # (resource, subresource), each may be ANY
    scope: str
    names: frozenset[str]

    def matches(self, resource: Resource, subresource: str, operation: str) -> bool:
        """Does it match all but the object's name?"""
        return (
            _has(self.operations, operation)
            and _has(self.groups, resource.group)
            and _has(self.versions, resource.version)
            and self._is_of_scope(resource)
            and any(wanted in (ANY, resource.plural) and part in (ANY, subresource) for wanted, part in self.resources)
        )

    def _is_of_scope(self, resource: Resource) -> bool:
        return self.scope == ANY or (self.scope == "Namespaced") == resource.namespaced


def compile_rules(rules: Iterable[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            frozenset(rule.get("operations") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("apiVersions") or ()),
            tuple(_split(name) for name in rule.get("resources") or ()),
            rule.get("scope") or ANY,
            frozenset(rule.get("resourceNames") or ()),
        )
        for rule in rules or ()
    )


@dataclass(frozen=True, slots=True)
class Match:
    """What matched: the resource as which the object is shown, and the names it is confined to (empty: any)."""

    resource: Resource
    names: frozenset[str]


def find_match(
    rules: Sequence[Rule], equivalents: Sequence[Resource], subresource: str, operation: str
) -> Match | None:
    """Return the first match of a write's resource, or of one that is equivalent to it; `equivalents[0]` is its own."""
    for resource in equivalents:
        matching = [rule for rule in rules if rule.matches(resource, subresource, operation)]
        if matching:
            named = [rule.names for rule in matching]
            return Match(resource, frozenset() if not all(named) else frozenset().union(*named))
    return None


def equivalents(resources: Iterable[Resource], resource: Resource, match_policy: str) -> list[Resource]:
    """Return the resource, and with Equivalent those that share its storage."""
    if match_policy != EQUIVALENT:
        return [resource]
    prefix = resource.storage_prefix
    others = [one for one in resources if one is not resource and one.storage_prefix == prefix and not one.is_virtual]
    return [resource, *others]


def _split(name: str) -> tuple[str, str]:
    resource, _, subresource = name.partition("/")
    return resource, subresource


def _has(wanted: frozenset[str], value: str) -> bool:
    return ANY in wanted or value in wanted
