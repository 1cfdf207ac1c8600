"""Nobody grants what they do not have: roles and bindings are checked against the writer's own rules.

A role may be written by who holds all of its rules, or may `escalate` it; a binding by who holds all rules of the bound
role, or may `bind` it. A binding's roleRef never changes. Neighbours: `chain`, `auth.rbac`, `auth.rules`.
"""

from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.auth.rules import Attributes, Rule, compile_rules, uncovered

GROUP = "rbac.authorization.k8s.io"
MAX_TOLD = 5  # of the missing rules, in one answer


def admit(asked: Admission, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    if asked.identity.is_master:
        return
    if asked.resource.plural in ("roles", "clusterroles"):
        unchanged = old is not None and old.get("rules") == obj.get("rules")
        if unchanged and old is not None and old.get("aggregationRule") == obj.get("aggregationRule"):
            return
        wanted = list(compile_rules(obj.get("rules")))
        if obj.get("aggregationRule"):
            wanted += compile_rules(_EVERYTHING)
        _check(asked, "escalate", asked.resource.plural, obj["metadata"].get("name", ""), wanted)
        return
    if old is not None and old.get("subjects") == obj.get("subjects") and old.get("roleRef") == obj.get("roleRef"):
        return
    reference = obj.get("roleRef") or {}
    rules = asked.parts.authorizer.rbac.role_rules(reference, asked.namespace)
    plural = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
    if rules is None:
        if not _may(asked, "bind", plural, reference.get("name", "")):
            raise errors.not_found(f"{plural}.{GROUP}", reference.get("name", ""))
        return
    _check(asked, "bind", plural, reference.get("name", ""), list(rules))


_EVERYTHING = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


def _check(asked: Admission, verb: str, plural: str, name: str, wanted: list[Rule]) -> None:
    if _may(asked, verb, plural, name):
        return
    held = asked.parts.authorizer.rbac.rules_of(asked.identity, asked.namespace)
    missing = uncovered(wanted, held)
    if missing:
        told = "\n".join(orjson.dumps(rule).decode() for rule in missing[:MAX_TOLD])
        raise errors.forbidden(
            asked.resource.group_resource,
            asked.name,
            f'user "{asked.identity.user}" (groups={list(asked.identity.groups)}) is attempting to grant RBAC '
            f"permissions not currently held:\n{told}",
        )


def _may(asked: Admission, verb: str, plural: str, name: str) -> bool:
    attributes = Attributes(verb, GROUP, plural, "", asked.namespace, name)
    return asked.parts.authorizer.allows(asked.identity, attributes)
