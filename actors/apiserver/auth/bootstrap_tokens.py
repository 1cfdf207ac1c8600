"""Bootstrap tokens: what a machine that joins has in its hand before it has a certificate.

A token is ID.SECRET, and lives in the Secret kube-system/bootstrap-token-ID of type bootstrap.kubernetes.io/token: its
secret, its end, whether it may authenticate, and its groups. It is looked up in the watch cache at every request, so
that a deleted or expired one is nobody's at once.

Source: the documentation's page on bootstrap tokens. Neighbours: `bearer` asks.
"""

import base64
import binascii
import hmac
import re
from typing import Any

from actors.api.meta import parse_time
from actors.apiserver.auth.identities import authenticated
from actors.apiserver.call import Identity
from actors.apiserver.storage.watch_cache import WatchCache
from runtime.clock import Clock

SECRET_TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers"
USER_PREFIX = "system:bootstrap:"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
_TOKEN_LENGTH = 23
_SECRETS = b"/registry/secrets/"


class BootstrapTokens:
    def __init__(self, cache: WatchCache, clock: Clock) -> None:
        self._secrets = cache.at(_SECRETS)
        self._clock = clock

    def authenticate(self, token: str) -> Identity | None:
        """Return whose token it is; None when it is no bootstrap token, or not a good one."""
        match = _TOKEN.fullmatch(token) if len(token) == _TOKEN_LENGTH else None
        if match is None:
            return None
        identifier, secret = match.groups()
        entry = self._secrets.entries.get(_SECRETS + f"kube-system/bootstrap-token-{identifier}".encode())
        if entry is None:
            return None
        stored = entry.decode()
        if stored.get("type") != SECRET_TYPE or stored["metadata"].get("deletionTimestamp"):
            return None
        data = _decoded(stored.get("data") or {})
        if data.get("token-id") != identifier or not hmac.compare_digest(data.get("token-secret", ""), secret):
            return None
        if data.get("usage-bootstrap-authentication") != "true" or self._is_over(data.get("expiration", "")):
            return None
        groups = _groups(data.get("auth-extra-groups", ""))
        return None if groups is None else authenticated(USER_PREFIX + identifier, (GROUP, *groups))

    def _is_over(self, expiration: str) -> bool:
        """Has the moment passed? One that cannot be read has."""
        if not expiration:
            return False
        try:
            return parse_time(expiration) <= self._clock.wall()
        except ValueError:
            return True


def _groups(text: str) -> list[str] | None:
    """The extra groups; None when one of them is not a bootstrapper's: then the token is refused as a whole."""
    groups = [group.strip() for group in text.split(",") if group.strip()]
    return groups if all(_GROUP.fullmatch(group) for group in groups) else None


def _decoded(data: dict[str, Any]) -> dict[str, str]:
    found = {}
    for key, value in data.items():
        try:
            found[key] = base64.b64decode(value or "").decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            continue  # not what a token is made of
    return found
