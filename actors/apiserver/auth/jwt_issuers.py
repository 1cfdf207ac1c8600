"""Who issues tokens that are good here, and what their claims say: Kubernetes' AuthenticationConfiguration, compiled.

`apiserver.oidc` of the cluster's config is the short form for one issuer; `apiserver.authentication` is the whole of it
(apiserver.config.k8s.io/v1), with CEL over `claims` and `user`. A configuration that is wrong stops the API server.

Importing this loads nothing; the expression language is loaded by the first expression.

Source: Kubernetes' documentation of structured authentication, and its validation. Neighbours: `oidc` verifies tokens
and asks; `config_files` reads the file.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from actors.api.config import ApiServerConfig, OidcConfig
from actors.apiserver.auth.config_files import BadConfiguration, checked_kind, fields_of, source_of
from actors.apiserver.auth.identities import authenticated
from actors.apiserver.call import Identity

API_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1")
KIND = "AuthenticationConfiguration"
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
MAX_ISSUERS = 64
SAME = "-"  # a username_prefix of apiserver.oidc that means none
_EMAIL, _VERIFIED = "claims.email", "claims.email_verified"
_EXTRA_KEY = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-a-z0-9_.%]+").fullmatch

Evaluate = Callable[[Mapping[str, Any]], Any]  # raises Claims


class Claims(Exception):
    """A token whose signature is good does not say who somebody is, or says that it is nobody who may come in."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where a part of the identity comes from: a claim with a prefix, or an expression."""

    claim: str = ""
    prefix: str = ""
    evaluate: Evaluate | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """An expression that must be true, and what is said when it is not."""

    evaluate: Evaluate
    message: str


@dataclass(frozen=True, slots=True)
class Issuer:
    url: str
    audiences: tuple[str, ...]
    username: Mapped
    groups: Mapped = Mapped()
    uid: Mapped = Mapped()
    extra: tuple[tuple[str, Evaluate], ...] = ()
    required: tuple[tuple[str, str], ...] = ()  # claims with the one value that they must have
    claim_checks: tuple[Check, ...] = ()
    user_checks: tuple[Check, ...] = ()
    discovery_url: str = ""
    algorithms: tuple[str, ...] = ALGORITHMS
    authority: str = ""  # of its certificate, in PEM; empty: `authority_file`, or the system's
    authority_file: str = ""

    def identity_of(self, claims: Mapping[str, Any]) -> Identity:
        """Return who a token's claims name. Raises Claims."""
        for name, value in self.required:
            if claims.get(name) != value:
                raise Claims(f"the claim {name} is not {value!r}")
        for check in self.claim_checks:
            if check.evaluate({"claims": claims}) is not True:
                raise Claims(check.message)
        found = authenticated(self._username(claims), self._groups(claims), self._uid(claims), self._extra(claims))
        if self.user_checks:
            user = {
                "username": found.user, "groups": list(found.groups), "uid": found.uid,
                "extra": {key: list(values) for key, values in found.extra.items()},
            }  # fmt: skip
            for check in self.user_checks:
                if check.evaluate({"user": user}) is not True:
                    raise Claims(check.message)
        return found

    def _username(self, claims: Mapping[str, Any]) -> str:
        mapped = self.username
        user = mapped.evaluate({"claims": claims}) if mapped.evaluate else claims.get(mapped.claim)
        if not isinstance(user, str) or not user:
            raise Claims("there is no username" if mapped.evaluate else f"there is no claim {mapped.claim}")
        if mapped.claim == "email" and not claims.get("email_verified", True):
            raise Claims("the email address was not verified")
        return mapped.prefix + user

    def _groups(self, claims: Mapping[str, Any]) -> list[str]:
        mapped = self.groups
        if mapped.evaluate:
            return _texts(mapped.evaluate({"claims": claims}), "the groups")
        if not mapped.claim:
            return []
        return [mapped.prefix + group for group in _texts(claims.get(mapped.claim), f"the claim {mapped.claim}")]

    def _uid(self, claims: Mapping[str, Any]) -> str:
        mapped = self.uid
        if not mapped.claim and mapped.evaluate is None:
            return ""
        uid = mapped.evaluate({"claims": claims}) if mapped.evaluate else claims.get(mapped.claim)
        if not isinstance(uid, str):
            raise Claims("the uid is no text")
        return uid

    def _extra(self, claims: Mapping[str, Any]) -> dict[str, list[str]]:
        found = {key: _texts(evaluate({"claims": claims}), f"extra {key}") for key, evaluate in self.extra}
        return {key: values for key, values in found.items() if values}


def _texts(value: Any, what: str) -> list[str]:
    """Return a text, or a list of them, as a list; nothing and null are empty."""
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise Claims(f"{what} is not a list of names")
    return values


def of_oidc(config: OidcConfig) -> Issuer:
    """Return the issuer that `apiserver.oidc` names."""
    return Issuer(
        url=config.issuer_url,
        audiences=(config.client_id,),
        username=Mapped(config.username_claim, _user_prefix(config)),
        groups=Mapped(config.groups_claim, config.groups_prefix),
        required=tuple(config.required_claims.items()),
        algorithms=tuple(config.signing_algs),
        authority_file=config.ca_file,
    )


def _user_prefix(config: OidcConfig) -> str:
    """What keeps a provider's users from being taken for others: by default the issuer, but for email addresses."""
    if config.username_prefix == SAME:
        return ""
    if config.username_prefix or config.username_claim == "email":
        return config.username_prefix
    return f"{config.issuer_url}#"


@dataclass(frozen=True, slots=True)
class Authentication:
    """`anonymous_paths`: what strangers may ask besides health and version; None: all, as far as they may."""

    issuers: tuple[Issuer, ...] = ()
    anonymous_paths: frozenset[str] | None = frozenset()


def of_config(config: ApiServerConfig, data_dir: Path) -> Authentication:
    """Return what a cluster's config says. Raises BadConfiguration."""
    if config.authentication is None:
        return Authentication(() if config.oidc is None else (of_oidc(config.oidc),))
    if config.oidc is not None:
        raise BadConfiguration("apiserver: oidc and authentication exclude each other")
    return compiled(*source_of(config.authentication, data_dir, "authentication"))


def compiled(source: Any, name: str) -> Authentication:
    """Compile an AuthenticationConfiguration; `name` says in errors which one. Raises BadConfiguration."""
    found = checked_kind(source, name, KIND, API_VERSIONS, ("jwt", "anonymous"))
    sources = found.get("jwt") or []
    if not isinstance(sources, list) or len(sources) > MAX_ISSUERS:
        raise BadConfiguration(f"{name}: jwt: expected a list of at most {MAX_ISSUERS} issuers")
    issuers = tuple(_issuer(one, f"{name}: jwt[{i}]") for i, one in enumerate(sources))
    for what in ("url", "discovery_url"):
        given = [getattr(one, what) for one in issuers if getattr(one, what)]
        if len(set(given)) != len(given):
            raise BadConfiguration(f"{name}: jwt: two issuers have the same {what}")
    return Authentication(issuers, _anonymous_paths(found.get("anonymous"), name))


def _anonymous_paths(source: Any, name: str) -> frozenset[str] | None:
    if source is None:
        return frozenset()
    found = fields_of(source, f"{name}: anonymous", ("enabled", "conditions"))
    conditions = found.get("conditions") or []
    if not found.get("enabled"):
        if conditions:
            raise BadConfiguration(f"{name}: anonymous.conditions: must not be given where it is not enabled")
        return frozenset()
    if not conditions:
        return None
    paths = [fields_of(one, f"{name}: anonymous.conditions[{i}]", ("path",)) for i, one in enumerate(conditions)]
    if not all(isinstance(one.get("path"), str) and one["path"].startswith("/") for one in paths):
        raise BadConfiguration(f"{name}: anonymous.conditions: a path begins with /")
    return frozenset(one["path"] for one in paths)


def _issuer(source: Any, at: str) -> Issuer:
    known = ("issuer", "claimValidationRules", "claimMappings", "userValidationRules")
    found = fields_of(source, at, known)
    issuer = fields_of(
        found.get("issuer"),
        f"{at}.issuer",
        ("url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType"),
    )
    url, discovery = _url(issuer.get("url"), f"{at}.issuer.url"), issuer.get("discoveryURL") or ""
    if discovery and _url(discovery, f"{at}.issuer.discoveryURL") == url:
        raise BadConfiguration(f"{at}.issuer.discoveryURL: must be different from url")
    audiences = issuer.get("audiences")
    if not isinstance(audiences, list) or not audiences or not all(isinstance(one, str) and one for one in audiences):
        raise BadConfiguration(f"{at}.issuer.audiences: at least one is required")
    policy = issuer.get("audienceMatchPolicy") or ""
    if (len(audiences) > 1 and policy != "MatchAny") or policy not in ("", "MatchAny"):
        raise BadConfiguration(f"{at}.issuer.audienceMatchPolicy: must be MatchAny for several audiences")
    if issuer.get("egressSelectorType"):
        raise BadConfiguration(f"{at}.issuer.egressSelectorType: there is no egress selector here")
    rules = [fields_of(one, f"{at}.claimValidationRules[{i}]", ("claim", "requiredValue", "expression", "message"))
             for i, one in enumerate(found.get("claimValidationRules") or ())]  # fmt: skip
    made = _mappings(found.get("claimMappings"), f"{at}.claimMappings", rules)
    return Issuer(
        url=url,
        audiences=tuple(audiences),
        discovery_url=discovery,
        authority=issuer.get("certificateAuthority") or "",
        required=tuple(_required(one, at) for one in rules if one.get("claim")),
        claim_checks=tuple(
            _check(one, f"{at}.claimValidationRules", "claims") for one in rules if not one.get("claim")
        ),
        user_checks=tuple(
            _check(fields_of(one, f"{at}.userValidationRules", ("expression", "message")), at, "user")
            for one in found.get("userValidationRules") or ()
        ),
        **made,
    )


def _url(value: Any, at: str) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme != "https" or not parts.netloc:
        raise BadConfiguration(f"{at}: expected an https URL")
    if parts.username or parts.query or parts.fragment:
        raise BadConfiguration(f"{at}: must not contain a username, a query or a fragment")
    return str(value)


def _required(rule: Mapping[str, Any], at: str) -> tuple[str, str]:
    if rule.get("expression") or rule.get("message"):
        raise BadConfiguration(f"{at}.claimValidationRules: claim and expression exclude each other")
    return rule["claim"], rule.get("requiredValue") or ""


def _check(rule: Mapping[str, Any], at: str, variable: str) -> Check:
    if rule.get("requiredValue"):
        raise BadConfiguration(f"{at}: requiredValue needs a claim")
    expression = rule.get("expression") or ""
    return Check(_program(expression, at, variable, True), rule.get("message") or f"failed rule: {expression}")


def _mappings(source: Any, at: str, rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = fields_of(source, at, ("username", "groups", "uid", "extra"))
    username, text = _mapped(found.get("username"), f"{at}.username", True)
    if not username.claim and username.evaluate is None:
        raise BadConfiguration(f"{at}.username: claim or expression is required")
    extra, said = _extra(found.get("extra") or (), f"{at}.extra")
    read = [one.replace(".?", ".") for one in (text, *said, *(rule.get("expression") or "" for rule in rules))]
    if _EMAIL in read[0].replace(_VERIFIED, "") and not any(_VERIFIED in one for one in read):
        raise BadConfiguration(
            f"{at}.username.expression: claims.email_verified must be used in claimMappings.username.expression or "
            "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in "
            "claimMappings.username.expression"
        )
    return {
        "username": username,
        "groups": _mapped(found.get("groups"), f"{at}.groups", True)[0],
        "uid": _mapped(found.get("uid"), f"{at}.uid", False)[0],
        "extra": extra,
    }


def _mapped(source: Any, at: str, has_prefix: bool) -> tuple[Mapped, str]:
    """Return where something comes from, and the expression."""
    if not source:
        return Mapped(), ""
    found = fields_of(source, at, ("claim", "expression", *(("prefix",) if has_prefix else ())))
    claim, expression = found.get("claim") or "", found.get("expression") or ""
    if claim and expression:
        raise BadConfiguration(f"{at}: claim and expression exclude each other")
    if expression:
        if found.get("prefix") is not None:
            raise BadConfiguration(f"{at}.prefix: must not be given with an expression")
        return Mapped(evaluate=_program(expression, at, "claims", False)), expression
    if has_prefix and claim and found.get("prefix") is None:
        raise BadConfiguration(f"{at}.prefix: is required with a claim; it may be empty")
    return Mapped(claim, found.get("prefix") or ""), ""


def _extra(sources: Any, at: str) -> tuple[tuple[tuple[str, Evaluate], ...], list[str]]:
    made: dict[str, Evaluate] = {}
    said: list[str] = []
    for i, one in enumerate(sources):
        found = fields_of(one, f"{at}[{i}]", ("key", "valueExpression"))
        key, expression = found.get("key") or "", found.get("valueExpression") or ""
        if not _EXTRA_KEY(key) or key in made:
            raise BadConfiguration(f"{at}[{i}].key: expected a domain, a slash and a name in lower case, each key once")
        domain = key.partition("/")[0]
        if domain in ("k8s.io", "kubernetes.io") or domain.endswith((".k8s.io", ".kubernetes.io")):
            raise BadConfiguration(f"{at}[{i}].key: k8s.io, kubernetes.io and their subdomains are reserved")
        made[key] = _program(expression, f"{at}[{i}].valueExpression", "claims", False)
        said.append(expression)
    return tuple(made.items()), said


def _program(expression: str, at: str, variable: str, is_condition: bool) -> Evaluate:
    """Return what evaluates an expression over one variable. Raises BadConfiguration."""
    from actors.apiserver.cel.environment import dynamic  # loads CEL: not before somebody writes an expression
    from actors.apiserver.cel.errors import CelError, CompileError

    if not expression.strip():
        raise BadConfiguration(f"{at}: an expression is required")
    try:
        program = dynamic(variable).compile(expression)
    except CompileError as error:
        raise BadConfiguration(f"{at}: compilation failed: {error}") from error
    if is_condition and program.result_type() not in ("BOOL", "DYN"):
        raise BadConfiguration(f"{at}: must evaluate to bool")

    def evaluate(variables: Mapping[str, Any]) -> Any:
        try:
            return program.evaluate(variables)
        except CelError as error:
            raise Claims(f"expression {expression!r} resulted in error: {error}") from error

    return evaluate
