"""Who is asked whether somebody may, and in which order: Kubernetes' AuthorizationConfiguration, compiled.

Without one the node authorizer and then RBAC are asked. With one, webhooks may come before, between or behind: the
first that has an opinion decides. A configuration that is wrong stops the API server.

Source: Kubernetes' documentation of structured authorization, and its validation. Neighbours: `authorizer` asks in
turn; `webhook_authorizer` asks over HTTPS; `config_files` reads the file.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from actors.api.config import ApiServerConfig
from actors.apiserver.auth.config_files import BadConfiguration, checked_kind, fields_of, source_of
from actors.apiserver.deadlines import duration_s

API_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1")
KIND = "AuthorizationConfiguration"
NODE, RBAC, WEBHOOK = "Node", "RBAC", "Webhook"
MAX_CONDITIONS = 64
MAX_TIMEOUT_S = 30.0
AUTHORIZED_TTL_S, UNAUTHORIZED_TTL_S = 300.0, 30.0  # for which an answer is taken to hold, if nothing else is said
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*").fullmatch


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook is, whom it is to be, and who we are: in PEM, or a token."""

    url: str
    authority: str = ""
    certificate: str = ""
    key: str = ""
    token: str = ""
    server_name: str = ""
    is_insecure: bool = False


Condition = Callable[[Mapping[str, Any]], bool]  # raises ConditionUnclear


class ConditionUnclear(Exception):
    """A match condition has no value for a request."""


@dataclass(frozen=True, slots=True)
class Webhook:
    name: str
    endpoint: Endpoint
    timeout_s: float
    denies_on_failure: bool
    authorized_ttl_s: float
    unauthorized_ttl_s: float
    conditions: tuple[Condition, ...] = ()


Step = str | Webhook  # NODE, RBAC, or a webhook
DEFAULT = (NODE, RBAC)


def of_config(config: ApiServerConfig, data_dir: Path) -> tuple[Step, ...]:
    """Return what a cluster's config says. Raises BadConfiguration."""
    if config.authorization is None:
        return DEFAULT
    return compiled(*source_of(config.authorization, data_dir, "authorization"), data_dir)


def compiled(source: Any, name: str, data_dir: Path) -> tuple[Step, ...]:
    """Compile an AuthorizationConfiguration; `name` says in errors which one. Raises BadConfiguration."""
    found = checked_kind(source, name, KIND, API_VERSIONS, ("authorizers",))
    sources = found.get("authorizers")
    if not isinstance(sources, list) or not sources:
        raise BadConfiguration(f"{name}: authorizers: at least one authorization mode must be defined")
    steps: list[Step] = []
    names: set[str] = set()
    for i, one in enumerate(sources):
        at = f"{name}: authorizers[{i}]"
        fields = fields_of(one, at, ("type", "name", "webhook"))
        kind, own = fields.get("type"), fields.get("name") or ""
        if kind not in (NODE, RBAC, WEBHOOK):
            raise BadConfiguration(f"{at}.type: {kind!r} is none of {NODE}, {RBAC}, {WEBHOOK}")
        if kind in steps:
            raise BadConfiguration(f"{at}.type: {kind} is there already")
        if not _NAME(own) or own in names:
            raise BadConfiguration(f"{at}.name: expected a DNS name, each name once")
        names.add(own)
        if (kind == WEBHOOK) != bool(fields.get("webhook")):
            raise BadConfiguration(f"{at}.webhook: is required for a Webhook, and for nothing else")
        steps.append(_webhook(fields["webhook"], own, f"{at}.webhook", data_dir) if kind == WEBHOOK else kind)
    return tuple(steps)


def _webhook(source: Any, name: str, at: str, data_dir: Path) -> Webhook:
    known = (
        "authorizedTTL", "unauthorizedTTL", "timeout", "subjectAccessReviewVersion", "failurePolicy",
        "matchConditionSubjectAccessReviewVersion", "connectionInfo", "matchConditions", "cacheAuthorizedRequests",
        "cacheUnauthorizedRequests",
    )  # fmt: skip
    found = fields_of(source, at, known)
    if found.get("subjectAccessReviewVersion") != "v1":
        raise BadConfiguration(f"{at}.subjectAccessReviewVersion: expected v1")
    policy = found.get("failurePolicy")
    if policy not in ("NoOpinion", "Deny"):
        raise BadConfiguration(f"{at}.failurePolicy: {policy!r} is none of NoOpinion, Deny")
    timeout = _seconds(found.get("timeout"), 0.0, f"{at}.timeout")
    if not 0 < timeout <= MAX_TIMEOUT_S:
        raise BadConfiguration(f"{at}.timeout: is required, and 30s at most")
    conditions = found.get("matchConditions") or []
    if len(conditions) > MAX_CONDITIONS:
        raise BadConfiguration(f"{at}.matchConditions: at most {MAX_CONDITIONS}")
    if conditions and found.get("matchConditionSubjectAccessReviewVersion") != "v1":
        raise BadConfiguration(f"{at}.matchConditionSubjectAccessReviewVersion: is required with matchConditions: v1")
    authorized = _seconds(found.get("authorizedTTL"), AUTHORIZED_TTL_S, f"{at}.authorizedTTL")
    unauthorized = _seconds(found.get("unauthorizedTTL"), UNAUTHORIZED_TTL_S, f"{at}.unauthorizedTTL")
    return Webhook(
        name=name,
        endpoint=_endpoint(found.get("connectionInfo"), f"{at}.connectionInfo", data_dir),
        timeout_s=timeout,
        denies_on_failure=policy == "Deny",
        authorized_ttl_s=authorized if found.get("cacheAuthorizedRequests", True) else 0.0,
        unauthorized_ttl_s=unauthorized if found.get("cacheUnauthorizedRequests", True) else 0.0,
        conditions=tuple(_condition(one, f"{at}.matchConditions[{i}]") for i, one in enumerate(conditions)),
    )


def _seconds(value: Any, default: float, at: str) -> float:
    if value is None:
        return default
    seconds = duration_s(value) if isinstance(value, str) else None
    if seconds is None or seconds < 0:
        raise BadConfiguration(f"{at}: expected a duration such as 30s")
    return seconds


def _condition(source: Any, at: str) -> Condition:
    from actors.apiserver.cel.environment import dynamic  # loads CEL: not before somebody writes an expression
    from actors.apiserver.cel.errors import CelError, CompileError

    expression = fields_of(source, at, ("expression",)).get("expression") or ""
    try:
        program = dynamic("request").compile(expression)
    except CompileError as error:
        raise BadConfiguration(f"{at}.expression: compilation failed: {error}") from error
    if program.result_type() not in ("BOOL", "DYN"):
        raise BadConfiguration(f"{at}.expression: must evaluate to bool")

    def holds(request: Mapping[str, Any]) -> bool:
        try:
            value = program.evaluate({"request": request})
        except CelError as error:
            raise ConditionUnclear(f"{expression!r} resulted in error: {error}") from error
        if type(value) is not bool:
            raise ConditionUnclear(f"{expression!r} did not evaluate to bool")
        return value

    return holds


def _endpoint(source: Any, at: str, data_dir: Path) -> Endpoint:
    found = fields_of(source, at, ("type", "kubeConfigFile"))
    if found.get("type") != "KubeConfigFile":
        raise BadConfiguration(f"{at}.type: expected KubeConfigFile")
    path = data_dir / (found.get("kubeConfigFile") or "")
    try:
        return _of_kubeconfig(yaml.safe_load(path.read_bytes()), str(path), path.parent)
    except OSError as error:
        raise BadConfiguration(f"{at}.kubeConfigFile: {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{at}.kubeConfigFile: {path}: not YAML: {error}") from error


def _of_kubeconfig(source: Any, name: str, beside: Path) -> Endpoint:
    """Return what a kubeconfig's current context says; files that it names lie beside it."""
    if not isinstance(source, dict):
        raise BadConfiguration(f"{name}: expected a kubeconfig")
    context = _named(source, "contexts", "context", source.get("current-context"), name)
    cluster = _named(source, "clusters", "cluster", context.get("cluster"), name)
    user = _named(source, "users", "user", context.get("user"), name) if context.get("user") else {}
    url = cluster.get("server") or ""
    if urlsplit(url).scheme not in ("https", "http"):
        raise BadConfiguration(f"{name}: clusters: server: expected a URL")

    def text(of: Mapping[str, Any], key: str) -> str:
        try:
            if data := of.get(f"{key}-data"):
                return base64.b64decode(data, validate=True).decode()
            return (beside / of[key]).read_text() if of.get(key) else ""
        except (OSError, ValueError, binascii.Error) as error:
            raise BadConfiguration(f"{name}: {key}: {error}") from error

    token = user.get("token") or ""
    if not token and user.get("tokenFile"):
        token = text({"token": user["tokenFile"]}, "token").strip()
    return Endpoint(
        url=url,
        authority=text(cluster, "certificate-authority"),
        certificate=text(user, "client-certificate"),
        key=text(user, "client-key"),
        token=token,
        server_name=cluster.get("tls-server-name") or "",
        is_insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(source: Mapping[str, Any], part: str, inner: str, wanted: Any, name: str) -> Mapping[str, Any]:
    for one in source.get(part) or ():
        if isinstance(one, dict) and one.get("name") == wanted:
            return one.get(inner) or {}
    raise BadConfiguration(f"{name}: {part}: there is no {wanted!r}")
