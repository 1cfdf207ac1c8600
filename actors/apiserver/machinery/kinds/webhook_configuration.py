"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration.

Source: admissionregistration.k8s.io/v1's documentation. Neighbours: `admission_rules`; `webhooks` calls them.
"""

import base64
import binascii
from typing import Any
from urllib.parse import urlsplit

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds import admission_rules as rules
from actors.apiserver.machinery.resource import Strategy

DEFAULT_TIMEOUT_S, MIN_TIMEOUT_S, MAX_TIMEOUT_S = 10, 1, 30
HTTPS_PORT = 443
REVIEW_VERSIONS = ("v1", "v1beta1")  # that may be named; only v1 is ever sent
SIDE_EFFECTS = ("None", "NoneOnDryRun")
MIN_NAME_SEGMENTS = 3

Object = dict[str, Any]


class WebhookConfigurationStrategy(Strategy):
    allow_unconditional_update = True

    def __init__(self, *, mutating: bool) -> None:
        self._mutating = mutating

    def default(self, obj: Object) -> None:
        for hook in obj.get("webhooks") or ():
            hook.setdefault("failurePolicy", "Fail")
            hook.setdefault("matchPolicy", "Equivalent")
            hook.setdefault("namespaceSelector", {})
            hook.setdefault("objectSelector", {})
            hook.setdefault("timeoutSeconds", DEFAULT_TIMEOUT_S)
            if self._mutating:
                hook.setdefault("reinvocationPolicy", "Never")
            rules.default_rules(hook.get("rules"))
            service = (hook.get("clientConfig") or {}).get("service")
            if service is not None:
                service.setdefault("port", HTTPS_PORT)

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: Object, old: Object) -> None:
        if obj.get("webhooks") != old.get("webhooks"):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate(self, obj: Object) -> list[Cause]:
        causes: list[Cause] = []
        seen: set[str] = set()
        for i, hook in enumerate(obj.get("webhooks") or ()):
            at = f"webhooks[{i}]"
            causes += self._hook_causes(hook, at)
            name = hook.get("name", "")
            if name in seen:
                causes.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
        return causes

    def _hook_causes(self, hook: Object, at: str) -> list[Cause]:
        causes = _name_causes(hook.get("name", ""), f"{at}.name")
        for i, rule in enumerate(hook.get("rules") or ()):
            causes += rules.rule_causes(rule, f"{at}.rules[{i}]")
        causes += field.one_of(f"{at}.failurePolicy", hook.get("failurePolicy", "Fail"), rules.FAILURE_POLICIES)
        causes += field.one_of(f"{at}.matchPolicy", hook.get("matchPolicy", "Equivalent"), rules.MATCH_POLICIES)
        causes += field.needed_one_of(f"{at}.sideEffects", hook.get("sideEffects"), SIDE_EFFECTS)
        timeout = hook.get("timeoutSeconds", DEFAULT_TIMEOUT_S)
        if not MIN_TIMEOUT_S <= timeout <= MAX_TIMEOUT_S:
            detail = f"the timeout value must be between {MIN_TIMEOUT_S} and {MAX_TIMEOUT_S} seconds"
            causes.append(field.invalid(f"{at}.timeoutSeconds", timeout, detail))
        if self._mutating:
            policy = hook.get("reinvocationPolicy", "Never")
            causes += field.one_of(f"{at}.reinvocationPolicy", policy, rules.REINVOCATION_POLICIES)
        causes += rules.selector_causes(hook, at)
        causes += rules.match_condition_causes(hook.get("matchConditions"), f"{at}.matchConditions")
        causes += _version_causes(hook.get("admissionReviewVersions") or [], f"{at}.admissionReviewVersions")
        return causes + client_config_causes(hook.get("clientConfig") or {}, f"{at}.clientConfig")


def client_config_causes(config: Object, at: str) -> list[Cause]:
    """Return what is wrong with where a webhook is."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [field.required(at, "exactly one of url or service is required")]
    causes: list[Cause] = []
    if url is not None:
        causes += _url_causes(url, f"{at}.url")
    else:
        assert service is not None, "one of both is there"
        causes += _service_causes(service, f"{at}.service")
    bundle = config.get("caBundle")
    if bundle:
        try:
            base64.b64decode(bundle, validate=True)
        except (binascii.Error, ValueError):
            causes.append(field.invalid(f"{at}.caBundle", bundle, "unable to load root certificates"))
    return causes


def _name_causes(name: str, at: str) -> list[Cause]:
    if not name:
        return [field.required(at)]
    causes = field.messages(at, name, names.dns_subdomain(name))
    if name.count(".") + 1 < MIN_NAME_SEGMENTS:
        causes.append(field.invalid(at, name, "should be a domain with at least three segments separated by dots"))
    return causes


def _version_causes(versions: list[str], at: str) -> list[Cause]:
    if not versions:
        return [field.required(at, f"must specify one of {', '.join(REVIEW_VERSIONS)}")]
    causes: list[Cause] = []
    for i, version in enumerate(versions):
        if version in versions[:i]:
            causes.append(field.invalid(f"{at}[{i}]", version, "duplicate version"))
        causes += field.messages(f"{at}[{i}]", version, names.dns_label_1035(version))
    if not any(version in REVIEW_VERSIONS for version in versions):
        causes.append(field.invalid(at, versions, f"must include at least one of {', '.join(REVIEW_VERSIONS)}"))
    return causes


def _url_causes(url: str, at: str) -> list[Cause]:
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        return [field.required(at, f"url must be a valid URL: {error}{form}")]
    causes: list[Cause] = []
    if parts.scheme != "https":
        causes.append(field.invalid(at, parts.scheme, f"'https' is the only allowed URL scheme{form}"))
    if not host:
        causes.append(field.invalid(at, parts.netloc, f"host must be specified{form}"))
    if parts.username is not None:
        causes.append(field.invalid(at, "", f"user information is not permitted in the URL{form}"))
    if parts.fragment:
        causes.append(field.invalid(at, parts.fragment, f"fragments are not permitted in the URL{form}"))
    if parts.query:
        causes.append(field.invalid(at, parts.query, f"query parameters are not permitted in the URL{form}"))
    return causes


def _service_causes(service: Object, at: str) -> list[Cause]:
    causes: list[Cause] = []
    for name, what in (("name", "service name is required"), ("namespace", "service namespace is required")):
        if not service.get(name):
            causes.append(field.required(f"{at}.{name}", what))
    port = service.get("port", HTTPS_PORT)
    causes += field.messages(f"{at}.port", port, names.port_number(port))
    path = service.get("path")
    if path is None or path == "/":
        return causes
    if not path.startswith("/"):
        return [*causes, field.invalid(f"{at}.path", path, "must start with a '/'")]
    steps = path[1:].removesuffix("/").split("/")
    for i, step in enumerate(steps):
        if not step:
            causes.append(field.invalid(f"{at}.path", path, f"segment[{i}] may not be empty"))
        else:
            wrong = (f"segment[{i}]: {detail}" for detail in names.dns_subdomain(step))
            causes += field.messages(f"{at}.path", path, wrong)
    return causes
