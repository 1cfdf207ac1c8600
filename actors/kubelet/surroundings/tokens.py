"""Service account tokens for projected volumes: asked for when needed, renewed before they expire.

Renewal follows Kubernetes: when a token is past four fifths of its life, or a day old. A token that can't be renewed is
kept while it is valid.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.api.meta import parse_time
from actors.kubelet import pod as pods
from bus import BusError
from runtime.clock import Clock

DEFAULT_EXPIRATION_S = 3600
RENEW_AT = 0.8  # of a token's life
RENEW_AFTER_S = 86_400.0

_Key = tuple[str, str, int]  # pod uid, audience, lifetime


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    issued_s: float
    expires_s: float

    def renew_at_s(self) -> float:
        return min(self.issued_s + (self.expires_s - self.issued_s) * RENEW_AT, self.issued_s + RENEW_AFTER_S)


class Tokens:
    def __init__(self, api: ApiClient, clock: Clock, log: Any):
        self._api, self._clock, self._log = api, clock, log
        self._tokens: dict[_Key, _Token] = {}

    async def acquire(self, pod: pods.Pod, sources: Iterable[dict[str, Any]]) -> None:
        """Have a valid token for each source; ApiError or BusError where there is none and none can be had."""
        wanted = {_key(pod, source): source for source in sources}
        await asyncio.gather(*(self._ensure(pod, key, source) for key, source in wanted.items()))

    def get(self, pod: pods.Pod, source: dict[str, Any]) -> str:
        return self._tokens[_key(pod, source)].text

    def renew_at_s(self, pod: pods.Pod, sources: Iterable[dict[str, Any]]) -> float | None:
        """Return the wall time when the first of these tokens is to be renewed."""
        known = (self._tokens.get(_key(pod, source)) for source in sources)
        return min((token.renew_at_s() for token in known if token is not None), default=None)

    def release(self, uid: str) -> None:
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]

    async def _ensure(self, pod: pods.Pod, key: _Key, source: dict[str, Any]) -> None:
        token, now_s = self._tokens.get(key), self._clock.wall()
        if token is not None and now_s < token.renew_at_s():
            return
        try:
            self._tokens[key] = await self._request(pod, source, now_s)
        except (ApiError, BusError) as error:
            if token is None or now_s >= token.expires_s:
                raise
            self._log.warning("could not renew a token", pod=pods.key(pod), error=str(error))

    async def _request(self, pod: pods.Pod, source: dict[str, Any], now_s: float) -> _Token:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [source["audience"]] if source.get("audience") else [],
                "expirationSeconds": source.get("expirationSeconds") or DEFAULT_EXPIRATION_S,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": pods.name(pod),
                    "uid": pod["metadata"]["uid"],
                },
            },
        }
        account = pod["spec"].get("serviceAccountName") or "default"
        answer = await self._api.create(
            "serviceaccounts", request, pods.namespace(pod), subresource="token", name=account
        )
        return _Token(answer["status"]["token"], now_s, parse_time(answer["status"]["expirationTimestamp"]))


def _key(pod: pods.Pod, source: dict[str, Any]) -> _Key:
    return pods.uid(pod), source.get("audience") or "", source.get("expirationSeconds") or DEFAULT_EXPIRATION_S
