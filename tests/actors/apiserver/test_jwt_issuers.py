"""AuthenticationConfiguration: what its claims and expressions make of tokens, and which configurations are refused."""

import copy
from typing import Any

import pytest

from actors.api.config import AccessConfig, ApiServerConfig, OidcConfig
from actors.apiserver.auth.config_files import BadConfiguration
from actors.apiserver.auth.jwt_issuers import Claims, compiled, of_config
from actors.apiserver.call import ANONYMOUS, AUTHENTICATED
from tests.actors.apiserver.api_harness import with_api

ISSUER: dict[str, Any] = {
    "issuer": {"url": "https://issuer.example", "audiences": ["kubus", "other"], "audienceMatchPolicy": "MatchAny"},
    "claimValidationRules": [
        {"claim": "hd", "requiredValue": "example.com"},
        {"expression": "claims.exp - claims.nbf <= 86400", "message": "a day at most"},
        {"expression": "claims.?email_verified.orValue(true)"},
    ],
    "claimMappings": {
        "username": {"expression": "claims.email.split('@')[0] + ':ext'"},
        "groups": {"expression": "claims.roles.split(',')"},
        "uid": {"claim": "sub"},
        "extra": [
            {"key": "example.com/tenant", "valueExpression": "claims.tenant"},
            {"key": "example.com/none", "valueExpression": "''"},
        ],
    },
    "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "reserved"}],
}
CLAIMS = {
    "hd": "example.com", "exp": 86400, "nbf": 0, "email": "jane@x.example", "roles": "dev,ops", "sub": "u1",
    "tenant": "t",
}  # fmt: skip


def configuration(**more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [ISSUER], **more
    }  # fmt: skip


def test_claims_are_mapped():
    [issuer] = compiled(configuration(), "x").issuers
    found = issuer.identity_of(CLAIMS)
    assert (found.user, found.groups, found.uid) == ("jane:ext", ("dev", "ops", AUTHENTICATED), "u1")
    assert found.extra == {"example.com/tenant": ["t"]}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"hd": "other"}, "the claim hd is not 'example.com'"),
        ({"exp": 86401}, "a day at most"),
        ({"email_verified": False}, "failed rule: claims.?email_verified.orValue"),
        ({"email": "system:x@y"}, "reserved"),
        ({"roles": None}, "resulted in error"),
        ({"tenant": 5}, "extra example.com/tenant is not a list of names"),
        ({"sub": 5}, "the uid is no text"),
    ],
)
def test_who_is_refused(changed: dict, why: str):
    [issuer] = compiled(configuration(), "x").issuers
    with pytest.raises(Claims) as refused:
        issuer.identity_of(CLAIMS | changed)
    assert why in str(refused.value)


def test_claims_with_prefixes():
    mappings = {"username": {"claim": "sub", "prefix": "oidc:"}, "groups": {"claim": "roles", "prefix": "g:"}}
    made = {"issuer": {"url": "https://a.example", "audiences": ["a"]}, "claimMappings": mappings}
    [issuer] = compiled(configuration(jwt=[made]), "x").issuers
    found = issuer.identity_of({"sub": "jane", "roles": ["dev"]})
    assert (found.user, found.groups) == ("oidc:jane", ("g:dev", AUTHENTICATED))


def changed(path: str, value: Any) -> dict[str, Any]:
    made = configuration(jwt=[copy.deepcopy(ISSUER)])
    at: Any = made["jwt"][0]
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step)] if step.isdigit() else at[step]
    at[int(last) if last.isdigit() else last] = value
    return made


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"kind": "Other"}, "expected apiserver.config.k8s.io/v1, kind AuthenticationConfiguration"),
        (configuration(more=1), "unknown field more"),
        (changed("issuer.url", "http://x"), "jwt[0].issuer.url: expected an https URL"),
        (changed("issuer.audiences", []), "audiences: at least one"),
        (changed("issuer.audienceMatchPolicy", ""), "must be MatchAny"),
        (changed("issuer.discoveryURL", "https://issuer.example"), "must be different from url"),
        (configuration(jwt=[ISSUER, ISSUER]), "two issuers have the same url"),
        (changed("claimMappings.username", {}), "claim or expression is required"),
        (changed("claimMappings.username", {"claim": "sub"}), "username.prefix: is required"),
        (changed("claimMappings.username", {"claim": "a", "expression": "b"}), "exclude each other"),
        (changed("claimMappings.username.expression", "claims."), "compilation failed"),
        (changed("claimValidationRules.2", {"expression": "true"}), "claims.email_verified must be used"),
        (changed("claimMappings.extra.0.key", "tenant"), "extra[0].key: expected a domain"),
        (changed("claimMappings.extra.0.key", "x.k8s.io/a"), "are reserved"),
        (changed("userValidationRules.0.expression", "'a'"), "must evaluate to bool"),
        (configuration(anonymous={"enabled": False, "conditions": [{"path": "/a"}]}), "anonymous.conditions"),
        (configuration(anonymous={"enabled": True, "conditions": [{"path": "a"}]}), "a path begins with /"),
    ],
)
def test_configurations_that_are_refused(source: dict, why: str):
    with pytest.raises(BadConfiguration) as refused:
        compiled(source, "x")
    assert why in str(refused.value)


def test_where_it_is_given(tmp_path):
    (tmp_path / "auth.yaml").write_text(
        "{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, anonymous: {enabled: true}}"
    )
    config = ApiServerConfig(authentication=AccessConfig(config_file="auth.yaml"))
    assert of_config(config, tmp_path).anonymous_paths is None
    assert of_config(ApiServerConfig(authentication=AccessConfig(config=configuration())), tmp_path).issuers
    with pytest.raises(BadConfiguration, match="cannot be read"):
        of_config(ApiServerConfig(authentication=AccessConfig(config_file="none.yaml")), tmp_path)
    both = ApiServerConfig(oidc=OidcConfig("https://x", "y"), authentication=AccessConfig(config_file="auth.yaml"))
    with pytest.raises(BadConfiguration, match="exclude each other"):
        of_config(both, tmp_path)


@with_api()
async def test_strangers_come_in_as_far_as_they_are_let(api):
    assert (await api.get("/apis", identity=ANONYMOUS))[0] == 401
    api.server.anonymous_paths = frozenset({"/apis"})
    assert (await api.get("/apis", identity=ANONYMOUS))[0] == 403, "nobody has granted them anything"
    assert (await api.get("/api", identity=ANONYMOUS))[0] == 401
    api.server.anonymous_paths = None
    status, answer = await api.get("/api/v1/namespaces/default/pods", identity=ANONYMOUS)
    assert (status, 'User "system:anonymous" cannot list' in answer["message"]) == (403, True)
