"""The provider's keys over HTTPS, on loopback: only from whom the authority vouches for, and only what is JSON."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import jwt
import pytest
import structlog
from aiohttp import web

from actors.api.config import ApiServerConfig, ClusterConfig, NodeConfig, OidcConfig
from actors.apiserver.auth.authorization_config import Endpoint
from actors.apiserver.auth.jwt_issuers import of_oidc
from actors.apiserver.auth.oidc import OidcTokens, Unreachable, https_fetch
from actors.apiserver.auth.webhook_authorizer import Opinion, Unanswered, https_post, opinion_of
from actors.cluster.pki import prepare
from runtime.clock import SystemClock
from tests.actors.apiserver.test_tokens import provider_key

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    config = ClusterConfig(nodes={"m1": NodeConfig(roles=["apiserver"])}, apiserver=ApiServerConfig(port=0))
    return prepare(tmp_path_factory.mktemp("pki"), config)


@asynccontextmanager
async def provider(pki, answers: dict):
    async def answer(request: web.Request) -> web.Response:
        found = answers[request.path]
        return found if isinstance(found, web.Response) else web.json_response(found)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.crt("apiserver"), pki.key("apiserver"))
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_keys_are_fetched_and_tokens_verified(pki):
    async def check():
        answers: dict = {}
        async with provider(pki, answers) as url:
            key = jwt.algorithms.RSAAlgorithm.to_jwk(provider_key("one").public_key(), as_dict=True)
            answers["/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/keys"}
            answers["/keys"] = {"keys": [{**key, "kid": "one", "use": "sig"}]}
            config = OidcConfig(issuer_url=url, client_id="kubus", ca_file=str(pki.ca_crt))
            tokens = OidcTokens(of_oidc(config), https_fetch(config.ca_file), SystemClock(), structlog.get_logger())
            await tokens.run()
            claims = {"iss": url, "aud": "kubus", "sub": "jane", "exp": 4_000_000_000}
            token = jwt.encode(claims, provider_key("one"), "RS256", headers={"kid": "one"})
            assert tokens.authenticate(token).user == f"{url}#jane"

    asyncio.run(check())


def test_what_is_no_provider_is_unreachable(pki):
    async def check():
        answers = {
            "/text": web.Response(text="hello"),
            "/list": [1],
            "/gone": web.Response(status=404),
            "/away": web.Response(status=302, headers={"Location": "/list"}),
        }
        async with provider(pki, answers) as url:
            trusted, stranger = https_fetch(str(pki.ca_crt)), https_fetch("")
            for path in answers:
                with pytest.raises(Unreachable):
                    await trusted(url + path)
            with pytest.raises(Unreachable):
                await stranger(f"{url}/list")
            with pytest.raises(Unreachable):
                await trusted("http://127.0.0.1:1/plain")
            with pytest.raises(Unreachable):
                await trusted("https://127.0.0.1:1/nobody")

    asyncio.run(check())


def test_a_webhook_is_asked_whether_somebody_may(pki):
    async def check():
        answers = {"/authorize": {"status": {"allowed": True}}, "/gone": web.Response(status=500)}
        async with provider(pki, answers) as url:
            authority = pki.ca_crt.read_text()
            own = pki.crt("admin").read_text(), pki.key("admin").read_text()
            post = https_post(Endpoint(f"{url}/authorize", authority, *own))
            assert opinion_of(await post(b"{}")) == Opinion(True)
            for endpoint in (Endpoint(f"{url}/gone", authority), Endpoint(f"{url}/authorize")):
                with pytest.raises(Unanswered):
                    await https_post(endpoint)(b"{}")

    asyncio.run(check())
