"""An audit policy, compiled: how much is told of a request, and at which of its stages.

The first rule that matches a request decides; where none does, nothing is told. Source: audit.k8s.io/v1 Policy, and the
documentation's page on auditing. Neighbours: `auditor` asks for every request.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import yaml

from actors.api.config import AuditConfig
from actors.apiserver.call import Identity
from actors.apiserver.request_info import RequestInfo
from runtime.actor import CannotServe

MAX_POLICY_BYTES = 1 << 20
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
RECEIVED, STARTED, COMPLETE, PANIC = STAGES


class Level(IntEnum):
    """How much an event tells; each tells what the one before does, and more."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAME_OF_LEVEL = {level: name for name, level in LEVELS.items()}


class BadPolicy(CannotServe):
    """The audit policy cannot be read, or is none."""


class _Resources:
    """A GroupResources: of a group, `pods`, `pods/log`, `pods/*`, `*/scale` or `*`; all where none is listed."""

    __slots__ = ("_group", "_names", "_resources")

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._group = source.get("group") or ""
        self._resources = frozenset(source.get("resources") or ())
        self._names = frozenset(source.get("resourceNames") or ())

    def matches(self, info: RequestInfo) -> bool:
        if info.group != self._group:
            return False
        if self._names and info.name not in self._names:
            return False
        resources = self._resources
        if not resources or "*" in resources:
            return True
        if not info.subresource:
            return info.resource in resources
        whole = f"{info.resource}/{info.subresource}"
        return whole in resources or f"{info.resource}/*" in resources or f"*/{info.subresource}" in resources


class Rule:
    """A PolicyRule."""

    __slots__ = (
        "_groups", "_namespaces", "_paths", "_prefixes", "_resources", "_users", "_verbs", "level", "omitted",
        "omits_managed_fields",
    )  # fmt: skip

    def __init__(self, source: Mapping[str, Any], omitted: Iterable[str], omits_managed_fields: bool) -> None:
        self.level = LEVELS[source["level"]]
        self.omitted = frozenset(omitted) | frozenset(source.get("omitStages") or ())
        own = source.get("omitManagedFields")
        self.omits_managed_fields = omits_managed_fields if own is None else bool(own)
        self._users = frozenset(source.get("users") or ())
        self._groups = frozenset(source.get("userGroups") or ())
        self._verbs = frozenset(source.get("verbs") or ())
        self._namespaces = frozenset(source.get("namespaces") or ())
        self._resources = [_Resources(one) for one in source.get("resources") or ()]
        urls = source.get("nonResourceURLs") or ()
        self._paths = frozenset(urls)
        self._prefixes = tuple(url[:-1] for url in urls if url.endswith("*"))

    def matches(self, identity: Identity, info: RequestInfo) -> bool:
        if self._users and identity.user not in self._users:
            return False
        if self._groups and self._groups.isdisjoint(identity.groups):
            return False
        if self._verbs and info.verb not in self._verbs:
            return False
        if self._namespaces or self._resources:
            return info.is_resource and self._matches_resource(info)
        if self._paths:
            return not info.is_resource and (info.path in self._paths or info.path.startswith(self._prefixes))
        return True

    def _matches_resource(self, info: RequestInfo) -> bool:
        if self._namespaces and info.namespace not in self._namespaces:
            return False
        return not self._resources or any(one.matches(info) for one in self._resources)


class Policy:
    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    def rule_for(self, identity: Identity, info: RequestInfo) -> Rule | None:
        """Return the rule that decides; None when nothing is to be told."""
        for rule in self._rules:
            if rule.matches(identity, info):
                return rule if rule.level else None
        return None


def compiled(source: Any, name: str) -> Policy:
    """Compile a Policy object. Raises BadPolicy naming `name` and the place in it."""
    if not isinstance(source, dict) or source.get("kind") != "Policy":
        raise BadPolicy(f"{name}: expected an object of kind Policy")
    if source.get("apiVersion") != "audit.k8s.io/v1":
        raise BadPolicy(f"{name}: expected apiVersion audit.k8s.io/v1, not {source.get('apiVersion')!r}")
    rules = source.get("rules")
    if not isinstance(rules, list) or not rules:
        raise BadPolicy(f"{name}: rules: at least one is needed")
    _check_stages(source, name, "omitStages")
    for i, rule in enumerate(rules):
        _check_rule(rule, name, f"rules[{i}]")
    omitted, managed = source.get("omitStages") or (), bool(source.get("omitManagedFields"))
    return Policy([Rule(rule, omitted, managed) for rule in rules])


def of_config(config: AuditConfig, data_dir: Path) -> Policy:
    """Read and compile the policy of a config; a relative file is looked for in the data dir. Raises BadPolicy."""
    if config.policy:
        return compiled(config.policy, "apiserver.audit.policy")
    path = data_dir / config.policy_file
    try:
        if path.stat().st_size > MAX_POLICY_BYTES:
            raise BadPolicy(f"{path}: a policy has at most {MAX_POLICY_BYTES} bytes")
        return compiled(yaml.safe_load(path.read_bytes()), str(path))
    except OSError as error:
        raise BadPolicy(f"the audit policy {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadPolicy(f"{path}: not YAML: {error}") from error


def _check_rule(rule: Any, name: str, at: str) -> None:
    if not isinstance(rule, dict):
        raise BadPolicy(f"{name}: {at}: expected a rule")
    if rule.get("level") not in LEVELS:
        raise BadPolicy(f"{name}: {at}.level: {rule.get('level')!r} is none of {', '.join(LEVELS)}")
    for key in ("users", "userGroups", "verbs", "namespaces", "nonResourceURLs"):
        if not _is_texts(rule.get(key)):
            raise BadPolicy(f"{name}: {at}.{key}: expected a list of texts")
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        raise BadPolicy(f"{name}: {at}: a rule is about resources or about nonResourceURLs, not both")
    for i, one in enumerate(rule.get("resources") or ()):
        if not isinstance(one, dict) or not _is_texts(one.get("resources")) or not _is_texts(one.get("resourceNames")):
            raise BadPolicy(f"{name}: {at}.resources[{i}]: expected group, resources and resourceNames")
        if one.get("resourceNames") and not one.get("resources"):
            raise BadPolicy(f"{name}: {at}.resources[{i}]: resourceNames need resources")
    _check_stages(rule, name, f"{at}.omitStages")


def _check_stages(source: Mapping[str, Any], name: str, at: str) -> None:
    for stage in source.get("omitStages") or ():
        if stage not in STAGES:
            raise BadPolicy(f"{name}: {at}: {stage!r} is none of {', '.join(STAGES)}")


def _is_texts(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))
