"""Tokens of Secrets of type kubernetes.io/service-account-token: they last until their Secret or account goes.

Nobody should make one today; charts and handbooks still do. Such a token is good as long as the Secret that it names
holds just this token, and the account is the one that it was made for. Both are looked up at every request.

Neighbours: the controller manager's `tokens.service_account` makes them; `bearer` asks.
"""

import base64
import binascii
import hmac
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from actors.apiserver.auth.identities import authenticated
from actors.apiserver.call import Identity
from actors.apiserver.storage.watch_cache import WatchCache

ISSUER = "kubernetes/serviceaccount"
CLAIM = "kubernetes.io/serviceaccount/"
ALGORITHM = "ES256"
MAX_TOKEN_BYTES = 16 << 10
_SECRETS, _ACCOUNTS = b"/registry/secrets/", b"/registry/serviceaccounts/"


class LegacyTokens:
    def __init__(self, public_key: EllipticCurvePublicKey, cache: WatchCache) -> None:
        self._public_key = public_key
        self._secrets, self._accounts = cache.at(_SECRETS), cache.at(_ACCOUNTS)

    def authenticate(self, token: str) -> Identity | None:
        """Return whose token it is; None when it is no such token, or not a good one."""
        if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
            return None
        try:
            claims = jwt.decode(token, self._public_key, algorithms=[ALGORITHM], issuer=ISSUER)
            namespace, secret = claims[CLAIM + "namespace"], claims[CLAIM + "secret.name"]
            name, uid = claims[CLAIM + "service-account.name"], claims[CLAIM + "service-account.uid"]
        except (jwt.PyJWTError, KeyError):
            return None
        if not self._holds(f"{namespace}/{secret}", token) or not self._is(f"{namespace}/{name}", uid):
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return authenticated(f"system:serviceaccount:{namespace}:{name}", groups, uid)

    def _holds(self, name: str, token: str) -> bool:
        stored = self._find(self._secrets, _SECRETS + name.encode())
        try:
            held = base64.b64decode((stored.get("data") or {}).get("token") or "")
        except binascii.Error:
            return False
        return hmac.compare_digest(held, token.encode())

    def _is(self, name: str, uid: str) -> bool:
        account = self._find(self._accounts, _ACCOUNTS + name.encode())
        return (account.get("metadata") or {}).get("uid") == uid

    def _find(self, cache: Any, key: bytes) -> dict[str, Any]:
        entry = cache.entries.get(key)
        obj = {} if entry is None else entry.decode()
        return {} if (obj.get("metadata") or {}).get("deletionTimestamp") else obj
