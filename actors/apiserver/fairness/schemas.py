"""Flow schemas, compiled: which one a request matches, and which flow of it the request is part of.

Schemas are asked in the order of their precedence; the first that matches decides. Which of them can match somebody at
all is remembered per user and groups, so that a request only looks at those.

Source: flowcontrol.apiserver.k8s.io/v1. Neighbours: `fairness` asks, `gate` compiles from the watch cache.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.call import Identity
from actors.apiserver.request_info import RequestInfo

REMEMBERED_SUBJECTS = 4096  # whose candidate schemas are known; all are forgotten when there are more
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
ALL = "*"


class ResourceRule:
    """A ResourcePolicyRule. `is_everything`: it matches every request for a resource."""

    __slots__ = ("_cluster_scope", "_groups", "_namespaces", "_resources", "_verbs", "is_everything")

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._verbs = frozenset(source.get("verbs") or ())
        self._groups = frozenset(source.get("apiGroups") or ())
        self._resources = frozenset(source.get("resources") or ())
        self._namespaces = frozenset(source.get("namespaces") or ())
        self._cluster_scope = bool(source.get("clusterScope"))
        every = (self._verbs, self._groups, self._resources, self._namespaces)
        self.is_everything = self._cluster_scope and all(ALL in values for values in every)

    def matches(self, info: RequestInfo) -> bool:
        if info.verb not in self._verbs and ALL not in self._verbs:
            return False
        if info.group not in self._groups and ALL not in self._groups:
            return False
        if ALL not in self._resources:
            resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
            if resource not in self._resources:
                return False
        if not info.namespace:
            return self._cluster_scope
        return info.namespace in self._namespaces or ALL in self._namespaces


class PathRule:
    """A NonResourcePolicyRule."""

    __slots__ = ("_paths", "_prefixes", "_verbs")

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._verbs = frozenset(source.get("verbs") or ())
        urls = source.get("nonResourceURLs") or ()
        self._paths = frozenset(urls)
        self._prefixes = tuple(url[:-1] for url in urls if url.endswith("/*") or url == ALL)

    def matches(self, info: RequestInfo) -> bool:
        if info.verb not in self._verbs and ALL not in self._verbs:
            return False
        return info.path in self._paths or info.path.startswith(self._prefixes)


class Rules:
    """PolicyRulesWithSubjects."""

    __slots__ = ("_accounts", "_groups", "_paths", "_resources", "_users", "matches_every_resource")

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._users: set[str] = set()
        self._groups: set[str] = set()
        self._accounts: list[str] = []  # prefixes of user names: all service accounts of a namespace
        for subject in source.get("subjects") or ():
            self._add_subject(subject)
        self._resources = [ResourceRule(rule) for rule in source.get("resourceRules") or ()]
        self._paths = [PathRule(rule) for rule in source.get("nonResourceRules") or ()]
        self.matches_every_resource = any(rule.is_everything for rule in self._resources)

    def _add_subject(self, subject: Mapping[str, Any]) -> None:
        kind = subject.get("kind")
        if kind == "User":
            self._users.add((subject.get("user") or {}).get("name", ""))
        elif kind == "Group":
            self._groups.add((subject.get("group") or {}).get("name", ""))
        elif kind == "ServiceAccount":
            account = subject.get("serviceAccount") or {}
            prefix = f"{SERVICE_ACCOUNT_PREFIX}{account.get('namespace', '')}:"
            if account.get("name") == ALL:
                self._accounts.append(prefix)
            else:
                self._users.add(prefix + account.get("name", ""))

    def concern(self, identity: Identity) -> bool:
        """Is somebody a subject of this?"""
        if identity.user in self._users or ALL in self._users or ALL in self._groups:
            return True
        if any(group in self._groups for group in identity.groups):
            return True
        return bool(self._accounts) and identity.user.startswith(tuple(self._accounts))

    def matches(self, info: RequestInfo) -> bool:
        if info.is_resource:
            return self.matches_every_resource or any(rule.matches(info) for rule in self._resources)
        return any(rule.matches(info) for rule in self._paths)


class Schema:
    """A FlowSchema, and what has been counted of it. `level` is the name of its priority level."""

    __slots__ = ("_distinguisher", "dispatched", "level", "name", "precedence", "rejected", "rules", "uid")

    def __init__(self, obj: Mapping[str, Any]) -> None:
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        self.name: str = metadata["name"]
        self.uid: str = metadata.get("uid", "")
        self.level: str = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
        self.precedence: int = spec.get("matchingPrecedence") or 0
        self.rules = [Rules(rule) for rule in spec.get("rules") or ()]
        self._distinguisher = (spec.get("distinguisherMethod") or {}).get("type", "")
        self.dispatched = 0
        self.rejected: dict[str, int] = {}  # by reason

    def flow(self, identity: Identity, info: RequestInfo) -> str:
        """Which of the schema's flows a request is part of."""
        if self._distinguisher == "ByUser":
            return identity.user
        if self._distinguisher == "ByNamespace":
            return info.namespace
        return ""


class Classifier:
    """All schemas of a configuration. `fallback` takes what none of them matches."""

    def __init__(self, schemas: Iterable[Schema], fallback: Schema) -> None:
        self.schemas = sorted(schemas, key=lambda schema: (schema.precedence, schema.name))
        self.fallback = fallback
        self._candidates: dict[tuple[str, tuple[str, ...]], list[tuple[Schema, list[Rules]]]] = {}

    def schema_of(self, identity: Identity, info: RequestInfo) -> Schema:
        candidates = self._candidates.get((identity.user, identity.groups))
        if candidates is None:
            candidates = self._remember(identity)
        for schema, rules in candidates:
            for one in rules:
                if one.matches(info):
                    return schema
        return self.fallback

    def _remember(self, identity: Identity) -> list[tuple[Schema, list[Rules]]]:
        if len(self._candidates) >= REMEMBERED_SUBJECTS:
            self._candidates.clear()
        found = []
        for schema in self.schemas:
            rules = [one for one in schema.rules if one.concern(identity)]
            if rules:
                found.append((schema, rules))
        self._candidates[identity.user, identity.groups] = found
        return found
