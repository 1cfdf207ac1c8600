"""RBAC, evaluated from the watch cache: an index from subjects to the rules that they hold, and where.

The index is rebuilt when a role or a binding has changed, at the next question; a question then costs as much as the
rules of its subject. An aggregated ClusterRole holds, besides its own rules, those of every ClusterRole that its
selectors match, whether or not a controller has copied them into it yet.

Neighbours: `storage.watch_cache` holds roles and bindings; `authorizer` asks.
"""

from collections.abc import Iterator
from typing import Any

from actors.api import selectors
from actors.apiserver.auth.rules import Attributes, Rule, compile_rules
from actors.apiserver.call import Identity
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.storage.resource_cache import ResourceCache, changed_revision_of
from actors.apiserver.storage.watch_cache import WatchCache

MAX_KNOWN = 4096  # permissions remembered; some 300 bytes each
GROUP = "rbac.authorization.k8s.io"
PREFIX = f"/registry/{GROUP}/"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

# subject -> (namespace or "" for everywhere, rules, why)
Granted = dict[str, list[tuple[str, tuple[Rule, ...], str]]]


class Rbac:
    def __init__(self, cache: WatchCache) -> None:
        self._roles, self._bindings, self._cluster_roles, self._cluster_bindings = (
            cache.at(f"{PREFIX}{plural}/".encode())
            for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
        )
        self._compiled: dict[bytes, tuple[int, dict[str, Any], tuple[Rule, ...]]] = {}
        self._users: Granted = {}
        self._groups: Granted = {}
        self._built: tuple[int, ...] = ()
        self._known: set[tuple] = set()  # what rules without names have allowed

    def is_known(self, identity: Identity, asked: "Attributes | RequestInfo") -> bool:
        """Has this been allowed already, to the same user and groups, whatever the object's name? False: ask."""
        self._refresh()
        return _memo_of(identity, asked) in self._known

    def allows(self, identity: Identity, asked: Attributes) -> bool:
        return self.why_allowed(identity, asked) is not None

    def why_allowed(self, identity: Identity, asked: Attributes) -> str | None:
        """Return the binding that allows something; None when none does."""
        for rules, why in self._rules_of(identity, asked.namespace):
            for rule in rules:
                if rule.allows(asked):
                    if asked.is_resource and not rule.names:
                        if len(self._known) >= MAX_KNOWN:
                            self._known.clear()
                        self._known.add(_memo_of(identity, asked))
                    return why
        return None

    def rules_of(self, identity: Identity, namespace: str) -> list[Rule]:
        """All rules that hold for somebody in a namespace (and everywhere)."""
        return [rule for rules, _ in self._rules_of(identity, namespace) for rule in rules]

    def role_rules(self, reference: dict[str, Any], namespace: str) -> tuple[Rule, ...] | None:
        """The rules of a roleRef; None when there is no such role."""
        self._refresh()
        name = reference.get("name", "")
        if reference.get("kind") == "ClusterRole":
            return self._rules_at(self._cluster_roles, name)
        return self._rules_at(self._roles, f"{namespace}/{name}")

    def _rules_of(self, identity: Identity, namespace: str) -> Iterator[tuple[tuple[Rule, ...], str]]:
        self._refresh()
        for where, rules, why in self._users.get(identity.user, ()):
            if not where or where == namespace:
                yield rules, why
        for group in identity.groups:
            for where, rules, why in self._groups.get(group, ()):
                if not where or where == namespace:
                    yield rules, why

    def _refresh(self) -> None:
        """Build the index anew if anything it was made of has changed."""
        caches = (self._roles, self._bindings, self._cluster_roles, self._cluster_bindings)
        built = tuple(map(changed_revision_of, caches))
        if built == self._built:
            return
        self._built = built
        self._known.clear()
        self._compile()
        self._users, self._groups = {}, {}
        for entry in self._cluster_bindings.entries.values():
            self._grant(entry.decode(), "")
        for entry in self._bindings.entries.values():
            binding = entry.decode()
            self._grant(binding, binding["metadata"]["namespace"])

    def _compile(self) -> None:
        """Compile the roles that are new or changed."""
        kept = {}
        for cache in (self._roles, self._cluster_roles):
            for key, entry in cache.entries.items():
                known = self._compiled.get(key)
                if known is None or known[0] != entry.revision:
                    role = entry.decode()
                    known = (entry.revision, _aggregation(role), compile_rules(role.get("rules")))
                kept[key] = known
        self._compiled = kept

    def _grant(self, binding: dict[str, Any], namespace: str) -> None:
        reference = binding.get("roleRef") or {}
        if reference.get("kind") == "ClusterRole":
            rules = self._rules_at(self._cluster_roles, reference.get("name", ""))
        else:
            rules = self._rules_at(self._roles, f"{namespace}/{reference.get('name', '')}")
        if not rules:
            return
        for subject in binding.get("subjects") or ():
            index, name = self._subject(subject, namespace)
            index.setdefault(name, []).append((namespace, rules, _why(binding, subject, namespace)))

    def _subject(self, subject: dict[str, Any], namespace: str) -> tuple[Granted, str]:
        if subject.get("kind") == "Group":
            return self._groups, subject["name"]
        if subject.get("kind") == "ServiceAccount":
            where = subject.get("namespace") or namespace
            return self._users, f"{SERVICE_ACCOUNT_PREFIX}{where}:{subject['name']}"
        return self._users, subject["name"]

    def _rules_at(self, cache: ResourceCache, name: str) -> tuple[Rule, ...] | None:
        key = cache.prefix + name.encode()
        if key not in self._compiled:
            return None
        return tuple(self._effective(key, set()))

    def _effective(self, key: bytes, seen: set[bytes]) -> Iterator[Rule]:
        """A role's own rules and those of every ClusterRole that it aggregates, each role once."""
        seen.add(key)
        _, aggregation, rules = self._compiled[key]
        yield from rules
        wanted = [selectors.from_label_selector(s) for s in aggregation.get("clusterRoleSelectors") or ()]
        if not wanted:
            return
        for other, entry in self._cluster_roles.entries.items():
            labels = entry.traits(self._cluster_roles.fields)[0]
            if other not in seen and any(selector.matches(labels) for selector in wanted):
                yield from self._effective(other, seen)


def _memo_of(identity: Identity, asked: "Attributes | RequestInfo") -> tuple:
    """All that a rule without names looks at."""
    return (
        identity.user, identity.groups, asked.verb, asked.group, asked.resource, asked.subresource, asked.namespace,
    )  # fmt: skip


def _why(binding: dict[str, Any], subject: dict[str, Any], namespace: str) -> str:
    """In Kubernetes' words, as access reviews and audit events give it."""
    reference, name = binding.get("roleRef") or {}, binding["metadata"]["name"]
    bound = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
    whose = f"{subject.get('kind')} {_quoted_subject(subject, namespace)}"
    return f'RBAC: allowed by {bound} of {reference.get("kind")} "{reference.get("name", "")}" to {whose}'


def _quoted_subject(subject: dict[str, Any], namespace: str) -> str:
    if subject.get("kind") == "ServiceAccount":
        return f'"{subject["name"]}/{subject.get("namespace") or namespace}"'
    return f'"{subject["name"]}"'


def _aggregation(role: dict[str, Any]) -> dict[str, Any]:
    return role.get("aggregationRule") or {}
