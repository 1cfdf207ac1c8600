"""Bearer tokens of every kind, in one place: service accounts', static ones, bootstrap tokens, ID tokens.

Neighbours: `http_front` authenticates requests with it, `verbs.review` answers TokenReviews from it.
"""

from collections.abc import Sequence
from typing import Any

from actors.apiserver.auth.bootstrap_tokens import BootstrapTokens
from actors.apiserver.auth.legacy_tokens import LegacyTokens
from actors.apiserver.auth.oidc import OidcTokens
from actors.apiserver.auth.tokens import ServiceAccountTokens, StaticTokens
from actors.apiserver.call import Identity


class BearerTokens:
    def __init__(
        self,
        accounts: ServiceAccountTokens,
        bootstrap: BootstrapTokens,
        static: StaticTokens | None = None,
        issuers: Sequence[OidcTokens] = (),
        legacy: LegacyTokens | None = None,
    ) -> None:
        self._accounts = accounts
        self._bootstrap = bootstrap
        self._static = static or StaticTokens(None)
        self._issuers = tuple(issuers)
        self._legacy = legacy

    def authenticate(self, token: str) -> Identity | None:
        """Return whose token it is, as far as that can be told at once."""
        return (
            self._accounts.authenticate(token)
            or self._bootstrap.authenticate(token)
            or self._static.authenticate(token)
            or self._of_issuers(token)
            or (self._legacy.authenticate(token) if self._legacy is not None else None)
        )

    async def authenticate_slowly(self, token: str) -> Identity | None:
        """Return whose token it is, after asking its issuer for new keys where that could help."""
        for issuer in self._issuers:
            if issuer.needs_keys(token):
                await issuer.refresh()
                return issuer.authenticate(token)
        return None

    def _of_issuers(self, token: str) -> Identity | None:
        for issuer in self._issuers:
            found = issuer.authenticate(token)
            if found is not None:
                return found
        return None

    async def review(self, token: str, audiences: Sequence[str]) -> dict[str, Any]:
        """Return the status of a TokenReview. Tokens that name no audiences are meant for the API server."""
        wanted = list(audiences) or list(self._accounts.audiences)
        verified = self._accounts.verified(token)
        if verified is not None:
            identity, meant = verified.identity, verified.audiences
        else:
            found = self.authenticate(token) or await self.authenticate_slowly(token)
            if found is None:
                return _refused("[invalid bearer token, token lookup failed]")
            identity, meant = found, self._accounts.audiences
        shared = [audience for audience in wanted if audience in meant]
        if not shared:
            return _refused(f"token audiences {list(meant)} is invalid for the target audiences {wanted}")
        return {"authenticated": True, "user": identity.user_info(), "audiences": shared}


def _refused(why: str) -> dict[str, Any]:
    return {"authenticated": False, "user": {}, "error": why}
