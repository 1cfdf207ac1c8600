"""Bearer tokens: bound service account tokens, bootstrap tokens, ID tokens of a provider, TokenReviews."""

import asyncio
import base64
import functools

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa

from actors.api.config import OidcConfig
from actors.api.meta import rfc3339
from actors.apiserver.auth.jwt_issuers import Claims, of_oidc
from actors.apiserver.auth.oidc import OidcTokens, Unreachable
from actors.apiserver.call import AUTHENTICATED, Identity
from actors.controller_manager.tokens.service_account import ACCOUNT_NAME, SECRET_TYPE, reconcile
from runtime.clock import ManualClock
from tests.actors.apiserver.api_harness import pod, with_account, with_api

ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default/token"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
PODS = "/api/v1/namespaces/default/pods"


async def token_for(api, **spec) -> dict:
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
    return await api.must("POST", ACCOUNT, body)


async def reviewed(api, token: str, *audiences: str) -> dict:
    body = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token}}
    if audiences:
        body["spec"]["audiences"] = list(audiences)
    return (await api.must("POST", REVIEWS, body))["status"]


@with_api()
async def test_a_token_is_good_for_its_audiences_only(api):
    await with_account(api)
    await api.server.barrier.fresh()
    token = (await token_for(api, audiences=["vault"]))["status"]["token"]
    assert api.server.bearer.authenticate(token) is None
    assert (await reviewed(api, token))["authenticated"] is False
    status = await reviewed(api, token, "vault", "other")
    assert (status["authenticated"], status["audiences"]) == (True, ["vault"])
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    ours = (await token_for(api))["status"]["token"]
    assert (await reviewed(api, ours))["audiences"] == ["https://kubernetes.default.svc.cluster.local"]
    assert api.server.bearer.authenticate(ours).user == "system:serviceaccount:default:default"


@with_api()
async def test_the_default_token_of_a_pod_says_an_hour_and_lives_a_year(api):
    await with_account(api)
    await api.must("POST", PODS, pod("a", "w1"))
    await api.server.barrier.fresh()
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "a"}
    answer = await token_for(api, expirationSeconds=3607, boundObjectRef=bound)
    assert answer["status"]["expirationTimestamp"] == rfc3339(int(api.clock.wall()) + 3607)
    token = answer["status"]["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] == int(api.clock.wall()) + 365 * 86400
    assert claims["kubernetes.io"]["warnafter"] == int(api.clock.wall()) + 3607
    api.clock.advance(4000)
    verified = api.server.tokens.verified(token)
    assert verified is not None and verified.stale_after < api.clock.wall()
    plain = (await token_for(api, expirationSeconds=3607))["status"]["token"]
    api.clock.advance(3608)
    assert api.server.tokens.verified(plain) is None


@with_api()
async def test_a_token_bound_to_a_node_dies_with_it(api):
    await with_account(api)
    await api.must("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "w1"}})
    answer = await token_for(api, boundObjectRef={"apiVersion": "v1", "kind": "Node", "name": "w1"})
    token = answer["status"]["token"]
    await api.server.barrier.fresh()
    found = api.server.bearer.authenticate(token)
    assert found.extra["authentication.kubernetes.io/node-name"] == ["w1"]
    await api.must("DELETE", "/api/v1/nodes/w1")
    await api.server.barrier.fresh()
    assert api.server.bearer.authenticate(token) is None


@with_api()
async def test_a_token_outlives_the_deletion_of_its_pod_by_a_minute(api):
    await with_account(api)
    await api.must("POST", PODS, pod("a", "w1"))
    await api.server.barrier.fresh()
    token = (await token_for(api, boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "a"}))["status"]["token"]
    await api.must("DELETE", f"{PODS}/a?gracePeriodSeconds=30")
    await api.server.barrier.fresh()
    api.clock.advance(45)
    assert api.server.bearer.authenticate(token) is not None
    api.clock.advance(120)
    assert api.server.bearer.authenticate(token) is None


def bootstrap_secret(**changed: str) -> dict:
    data = {
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
    } | changed  # fmt: skip
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({}, True),
        ({"expiration": "2030-01-01T00:00:00Z"}, True),
        ({"expiration": "2001-01-01T00:00:00Z"}, False),
        ({"expiration": "soon"}, False),
        ({"usage-bootstrap-authentication": "false"}, False),
        ({"token-id": "fedcba"}, False),
        ({"token-secret": "fedcba9876543210"}, False),
        ({"auth-extra-groups": "system:masters"}, False),
    ],
)
def test_bootstrap_tokens(changed, good):
    @with_api()
    async def check(api):
        api.clock.advance(1_700_000_000 - api.clock.wall())
        await api.must("POST", SECRETS, bootstrap_secret(**changed))
        await api.server.barrier.fresh()
        found = api.server.bearer.authenticate("abcdef.0123456789abcdef")
        assert (found is not None) is good
        if found is not None:
            groups = ("system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", AUTHENTICATED)
            assert found == Identity("system:bootstrap:abcdef", groups)
            assert (await reviewed(api, "abcdef.0123456789abcdef"))["user"]["username"] == "system:bootstrap:abcdef"
        assert api.server.bearer.authenticate("abcdef.0123456789abcdee") is None

    check()


@with_api()
async def test_a_token_of_a_secret_lives_as_long_as_its_secret_holds_it(api):
    await with_account(api)
    account = await api.must("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    metadata = {"name": "t", "namespace": "default", "annotations": {ACCOUNT_NAME: "default"}}
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "type": SECRET_TYPE}
    (write,) = reconcile(
        {**secret, "metadata": {**metadata, "uid": "s"}},
        account,
        b"ca",
        lambda claims: jwt.encode(claims, api.server.tokens._private_key, "ES256"),
    )
    made = {
        **secret,
        "data": write.obj["data"],
        "metadata": {**metadata, "annotations": write.obj["metadata"]["annotations"]},
    }
    secrets = "/api/v1/namespaces/default/secrets"
    await api.must("POST", secrets, made)
    await api.server.barrier.fresh()
    token = base64.b64decode(made["data"]["token"]).decode()
    assert api.server.bearer.authenticate(token).user == "system:serviceaccount:default:default"
    assert (await reviewed(api, token))["authenticated"]
    assert api.server.bearer.authenticate(token[:-2] + "xx") is None
    await api.must("DELETE", f"{secrets}/t")
    await api.server.barrier.fresh()
    assert api.server.bearer.authenticate(token) is None


ISSUER = "https://issuer.example"
CONFIG = OidcConfig(issuer_url=ISSUER, client_id="kubus", groups_claim="groups", groups_prefix="oidc:")


@functools.cache
def provider_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """An OpenID Connect provider without a network."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keys = ["one"]
        self.asked: list[str] = []
        self.is_down = False
        self.tokens = OidcTokens(of_oidc(CONFIG), self.fetch, self.clock, structlog.get_logger())

    async def fetch(self, url: str) -> dict:
        self.asked.append(url)
        if self.is_down:
            raise Unreachable("down")
        if url.endswith("/.well-known/openid-configuration"):
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        algorithm = jwt.algorithms.RSAAlgorithm
        return {
            "keys": [
                {**algorithm.to_jwk(provider_key(name).public_key(), as_dict=True), "kid": name, "use": "sig"}
                for name in self.keys
            ]
        }

    def token(self, key: str = "one", signed_as: str = "", **changed) -> str:
        now = int(self.clock.wall())
        claims = {"iss": ISSUER, "aud": "kubus", "sub": "jane", "exp": now + 300, "groups": ["dev"]} | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, provider_key(key), "RS256", headers={"kid": signed_as or key})


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({}, True),
        ({"aud": ["other", "kubus"]}, True),
        ({"aud": "other"}, False),
        ({"iss": "https://elsewhere.example"}, False),
        ({"exp": 1}, False),
        ({"exp": None}, False),
        ({"sub": None}, False),
        ({"groups": "dev"}, True),
        ({"groups": {"a": 1}}, False),
        ({"key": "two", "signed_as": "one"}, False),
    ],
)
def test_id_tokens(changed, good):
    async def check():
        provider = Provider()
        await provider.tokens.refresh()
        found = provider.tokens.authenticate(provider.token(**changed))
        assert found == (Identity(f"{ISSUER}#jane", ("oidc:dev", AUTHENTICATED)) if good else None)

    asyncio.run(check())


def test_new_keys_are_fetched_when_a_token_names_one_but_not_all_the_time():
    async def check():
        provider = Provider()
        await provider.tokens.refresh()
        token = provider.token("two")
        provider.keys = ["one", "two"]
        assert provider.tokens.authenticate(token) is None and provider.tokens.needs_keys(token)
        await provider.tokens.refresh()
        assert provider.tokens.authenticate(token) is None and len(provider.asked) == 2
        provider.clock.advance(10)
        await asyncio.gather(*(provider.tokens.refresh() for _ in range(5)))
        assert provider.tokens.authenticate(token) is not None and len(provider.asked) == 4
        assert not provider.tokens.needs_keys("abcdef.0123456789abcdef")
        # A provider that goes down takes nobody's key away.
        provider.is_down = True
        provider.clock.advance(10)
        await provider.tokens.refresh()
        assert provider.tokens.authenticate(provider.token("two")) is not None

    asyncio.run(check())


@pytest.mark.parametrize(
    ("config", "claims", "user"),
    [
        ({}, {"sub": "jane"}, f"{ISSUER}#jane"),
        ({"username_prefix": "-"}, {"sub": "jane"}, "jane"),
        ({"username_prefix": "x:"}, {"sub": "jane"}, "x:jane"),
        ({"username_claim": "email"}, {"email": "j@x.example"}, "j@x.example"),
        ({"username_claim": "email"}, {"email": "j@x.example", "email_verified": False}, None),
        ({"required_claims": {"hd": "x"}}, {"sub": "jane", "hd": "y"}, None),
        ({"required_claims": {"hd": "x"}}, {"sub": "jane", "hd": "x"}, f"{ISSUER}#jane"),
    ],
)
def test_who_claims_name(config, claims, user):
    made = of_oidc(OidcConfig(issuer_url=ISSUER, client_id="kubus", **config))
    if user is None:
        with pytest.raises(Claims):
            made.identity_of(claims)
    else:
        assert made.identity_of(claims).user == user
