"""Webhook configurations, compiled: one `Hook` for each webhook, in the order in which they are called.

Configurations come in the order of their names, webhooks of one in the order that they are listed in. Pure.

Neighbours: `admission.dynamic` compiles what the watch cache has, and keeps it until something changes.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.apiserver.webhooks.matching import Selectors, compile_selectors
from actors.apiserver.webhooks.rules import Rule, compile_rules

DEFAULT_TIMEOUT_S = 10
SIDE_EFFECT_FREE = frozenset({"None", "NoneOnDryRun"})

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceReference:
    namespace: str
    name: str
    port: int

    @property
    def host(self) -> str:
        """The name that the server's certificate must be for."""
        return f"{self.name}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Hook:
    """`uid` names it among all hooks; `name` is what users are told; `index` is its place in the order."""

    uid: str
    name: str
    configuration: str
    rules: tuple[Rule, ...]
    match_policy: str
    selectors: Selectors
    conditions: tuple[tuple[str, str], ...]  # (name, expression)
    fails_closed: bool
    timeout_s: int
    is_dry_runnable: bool
    is_reinvoked: bool
    url: str
    service: ServiceReference | None
    ca_bundle: bytes
    index: int


def compile_hooks(configurations: Iterable[Object]) -> tuple[Hook, ...]:
    """Return the hooks of webhook configurations, in order."""
    ordered = sorted(configurations, key=lambda one: one["metadata"]["name"])
    found: list[Hook] = []
    for one in ordered:
        found += _hooks(one, len(found))
    return tuple(found)


def _hooks(configuration: Object, first: int) -> Iterable[Hook]:
    name = configuration["metadata"]["name"]
    for i, webhook in enumerate(configuration.get("webhooks") or ()):
        client = webhook.get("clientConfig") or {}
        service = _service(client.get("service"))
        yield Hook(
            uid=f"{name}/{webhook['name']}/{i}",
            name=webhook["name"],
            configuration=name,
            rules=compile_rules(webhook.get("rules")),
            match_policy=webhook.get("matchPolicy") or "Equivalent",
            selectors=compile_selectors(webhook),
            conditions=compile_conditions(webhook.get("matchConditions")),
            fails_closed=webhook.get("failurePolicy", "Fail") != "Ignore",
            timeout_s=webhook.get("timeoutSeconds") or DEFAULT_TIMEOUT_S,
            is_dry_runnable=webhook.get("sideEffects") in SIDE_EFFECT_FREE,
            is_reinvoked=webhook.get("reinvocationPolicy") == "IfNeeded",
            url=client.get("url") or _service_url(service, (client.get("service") or {}).get("path")),
            service=service,
            ca_bundle=base64.b64decode(client.get("caBundle") or ""),
            index=first + i,
        )


def compile_conditions(conditions: Iterable[Mapping[str, Any]] | None) -> tuple[tuple[str, str], ...]:
    return tuple((one.get("name", ""), one.get("expression", "")) for one in conditions or ())


def _service(service: Mapping[str, Any] | None) -> ServiceReference | None:
    if service is None:
        return None
    return ServiceReference(service["namespace"], service["name"], service.get("port") or 443)


def _service_url(service: ServiceReference | None, path: str | None) -> str:
    assert service is not None, "validated: a url or a service"
    return f"https://{service.host}:{service.port}/{(path or '').lstrip('/')}"
