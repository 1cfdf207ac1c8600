"""ID tokens of an OpenID Connect provider: users who log in elsewhere.

The provider's keys are fetched from its discovery document, at the start and when a token names a key that is not known
yet, but not more often than each KEYS_PERIOD_S. While the provider cannot be reached, its known keys go on being good,
and tokens that name others are refused.

What can go wrong: a provider that is down, slow or lying is logged and tried again; its tokens get 401 meanwhile.

Source: OpenID Connect Core and Discovery; Kubernetes' documentation on OpenID Connect tokens. Neighbours: `bearer`
asks; `jwt_issuers` says which provider, and what its tokens' claims mean.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import orjson

from actors.apiserver.auth.jwt_issuers import Claims, Issuer
from actors.apiserver.call import Identity
from actors.apiserver.webhooks.bodies import TooLong, read_at_most
from runtime.clock import Clock

FETCH_TIMEOUT_S = 10.0
MAX_DOCUMENT_BYTES = 1 << 20  # of a discovery document or a key set
RETRY_S = 10.0  # until the provider has answered for the first time
KEYS_PERIOD_S = 5.0  # between fetches because of an unknown key: a stranger must not make us hammer the provider
MAX_TOKEN_BYTES = 16 << 10
LEEWAY_S = 10
REMEMBERED_S = 10.0  # that a token is taken to be good without another look; Kubernetes' time too
REMEMBERED_TOKENS = 2048
_WELL_KNOWN = "/.well-known/openid-configuration"

Fetch = Callable[[str], Awaitable[dict[str, Any]]]  # raises Unreachable


class Unreachable(Exception):
    """The provider gave no answer that could be used."""


class OidcTokens:
    """Those of one issuer."""

    def __init__(self, issuer: Issuer, fetch: Fetch, clock: Clock, log: Any) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._log = log
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._fetching: asyncio.Lock = asyncio.Lock()
        self._known: OrderedDict[str, tuple[float, Identity]] = OrderedDict()

    async def run(self) -> None:
        """Fetch the keys, trying until the provider answers."""
        while not self._keys:
            await self.refresh()
            if not self._keys:
                await asyncio.sleep(RETRY_S)

    def authenticate(self, token: str) -> Identity | None:
        """Return whose token it is, as far as it can be told with the keys that are known."""
        now = self._clock.wall()
        known = self._known.get(token)
        if known is not None and known[0] > now:
            return known[1]
        if not self._is_ours(token):
            return None
        key = self._keys.get(_key_id(token))
        if key is None:
            return None
        try:
            claims = self._verified(token, key, now)
            identity = self._issuer.identity_of(claims)
        except (jwt.PyJWTError, Claims) as error:
            self._log.info("an ID token was refused", error=str(error))
            return None
        self._remember(token, min(now + REMEMBERED_S, float(claims["exp"])), identity)
        return identity

    def needs_keys(self, token: str) -> bool:
        """Might this token be good if the provider's keys were fetched anew?"""
        return self._is_ours(token) and _key_id(token) not in self._keys

    async def refresh(self) -> None:
        """Fetch the provider's keys, unless that was done just now."""
        async with self._fetching:
            now = self._clock.monotonic()
            if now - self._fetched < KEYS_PERIOD_S:
                return
            self._fetched = now
            try:
                url = self._issuer.discovery_url or self._issuer.url.rstrip("/") + _WELL_KNOWN
                document = await self._fetch(url)
                if document.get("issuer") != self._issuer.url:
                    raise Unreachable(f"the discovery document is of issuer {document.get('issuer')!r}")
                self._keys = _keys_of(await self._fetch(str(document.get("jwks_uri", ""))))
            except Unreachable as error:
                self._log.warning("no keys of the OIDC provider", issuer=self._issuer.url, error=str(error))

    def _is_ours(self, token: str) -> bool:
        if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
            return False
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            return False
        return claims.get("iss") == self._issuer.url

    def _verified(self, token: str, key: jwt.PyJWK, now: float) -> dict[str, Any]:
        claims = jwt.decode(
            token,
            key,
            algorithms=list(self._issuer.algorithms),
            audience=self._issuer.audiences,
            issuer=self._issuer.url,
            options={"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        if not float(claims["exp"]) > now:
            raise Claims("the token has expired")
        if float(claims.get("nbf") or 0) > now + LEEWAY_S:
            raise Claims("the token is not valid yet")
        return claims

    def _remember(self, token: str, until: float, identity: Identity) -> None:
        self._known[token] = (until, identity)
        if len(self._known) > REMEMBERED_TOKENS:
            self._known.popitem(last=False)


def _key_id(token: str) -> str | None:
    try:
        return jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        return None


def _keys_of(document: dict[str, Any]) -> dict[str | None, jwt.PyJWK]:
    """The keys for signatures by their id. Those of kinds that we do not know are left out."""
    try:
        keys = jwt.PyJWKSet.from_dict(document).keys
    except jwt.PyJWTError as error:
        raise Unreachable(f"the key set cannot be read: {error}") from error
    return {key.key_id: key for key in keys if key.public_key_use in (None, "sig")}


def https_fetch(ca_file: str, authority: str = "") -> Fetch:
    """Return a fetch over HTTPS that trusts the authorities of a file, of a PEM text, or the system's.

    Raises OSError for the file, ssl.SSLError for the text.
    """
    import aiohttp  # an HTTP client of 7 MB: only where there is an issuer

    context = ssl.create_default_context(cafile=str(Path(ca_file)) if ca_file else None, cadata=authority or None)

    async def fetch(url: str) -> dict[str, Any]:
        if not url.startswith("https://"):
            raise Unreachable(f"{url!r} is not an https URL")
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, ssl=context, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise Unreachable(f"{url} answered {response.status}")
                body = await read_at_most(response, MAX_DOCUMENT_BYTES)
                return _document(url, body)
        except (aiohttp.ClientError, TimeoutError, OSError, TooLong) as error:
            raise Unreachable(f"{url}: {error or type(error).__name__}") from error

    return fetch


def _document(url: str, body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreachable(f"{url}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unreachable(f"{url}: not a JSON object")
    return document
