"""Webhook configurations, admission policies and their bindings; runtime classes."""

from actors.apiserver.machinery.columns.cells import AGE, NAME, UNSET, computed, read, text
from actors.apiserver.machinery.resource import Column


def _count(name: str, path: str) -> Column:
    return Column(name, lambda obj, now: len(read(obj, path, None) or ()), type="integer")


def _param_kind(obj: dict) -> str:
    kind = read(obj, "spec.paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET


def _param_ref(obj: dict) -> str:
    reference = read(obj, "spec.paramRef")
    if not reference:
        return UNSET
    name = reference.get("name") or "*"
    return f"{reference['namespace']}/{name}" if reference.get("namespace") else name


WEBHOOK_CONFIGURATION: tuple[Column, ...] = (NAME, _count("Webhooks", "webhooks"), AGE)
VALIDATING_POLICY: tuple[Column, ...] = (
    NAME,
    _count("Validations", "spec.validations"),
    computed("ParamKind", _param_kind),
    AGE,
)
MUTATING_POLICY: tuple[Column, ...] = (
    NAME,
    _count("Mutations", "spec.mutations"),
    computed("ParamKind", _param_kind),
    AGE,
)
POLICY_BINDING: tuple[Column, ...] = (
    NAME,
    text("PolicyName", "spec.policyName", ""),
    computed("ParamRef", _param_ref),
    AGE,
)
RUNTIME_CLASS: tuple[Column, ...] = (NAME, text("Handler", "handler", ""), AGE)
