"""Asks a webhook whether somebody may, by a SubjectAccessReview over HTTPS, and remembers the answers for a while.

A webhook allows, denies, or has no opinion. One that does not answer, or not understandably, is what its failurePolicy
makes of it. Match conditions say which requests it is asked about at all.

Source: Kubernetes' documentation of webhook authorization. Neighbours: `authorizer` asks; `authorization_config`
compiles; the HTTP client is loaded when the first question is asked.
"""

import asyncio
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from actors.apiserver.auth.authorization_config import ConditionUnclear, Endpoint, Webhook
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import Identity
from actors.apiserver.webhooks.bodies import TooLong, read_at_most
from runtime.clock import Clock

MAX_ANSWER_BYTES = 1 << 20
REMEMBERED = 10_240  # answers of one webhook, as in Kubernetes
MAX_REMEMBERED_BYTES = 10_000  # of a question; a longer one is asked each time, as in Kubernetes
RETRIES = 2  # of a question that found nobody, or somebody with too much to do
RETRY_AFTER_S = 0.1

Post = Callable[[bytes], Awaitable[bytes]]  # raises Unanswered


@dataclass(frozen=True, slots=True)
class Opinion:
    """`allowed` is None where there is no opinion; `failure` says why a webhook could not be asked."""

    allowed: bool | None
    reason: str = ""
    failure: str = ""


class Unanswered(Exception):
    """A webhook gave no answer that could be used."""


class Unreachable(Unanswered):
    """It may give one when it is asked again."""


class WebhookAuthorizer:
    def __init__(self, webhook: Webhook, post: Post, clock: Clock, log: Any) -> None:
        self._webhook = webhook
        self._post = post
        self._clock = clock
        self._log = log
        self._known: OrderedDict[bytes, tuple[float, Opinion]] = OrderedDict()

    async def opinion(self, identity: Identity, asked: Attributes) -> Opinion:
        """Return what the webhook thinks of a request."""
        webhook, whole = self._webhook, review_spec(identity, asked)
        unclear = ""
        for condition in webhook.conditions:
            try:
                if not condition(whole):
                    return Opinion(None)  # whatever the others say
            except ConditionUnclear as error:
                unclear = unclear or f"match condition {error}"
        if unclear:
            return self._failed(unclear)
        spec = as_sent(whole)
        body = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
        known = self._known.get(body)
        if known is not None and known[0] > self._clock.monotonic():
            return known[1]
        try:
            found = opinion_of(await self._asked(spec))
        except Unanswered as error:
            return self._failed(str(error))
        self._remember(body, found)
        return found

    async def _asked(self, spec: dict[str, Any]) -> bytes:
        body = orjson.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
        try:
            async with asyncio.timeout(self._webhook.timeout_s):
                for _ in range(RETRIES):
                    try:
                        return await self._post(body)
                    except Unreachable:
                        await asyncio.sleep(RETRY_AFTER_S)
                return await self._post(body)
        except TimeoutError:
            raise Unanswered("context deadline exceeded") from None

    def _failed(self, why: str) -> Opinion:
        self._log.warning("an authorization webhook gave no answer", webhook=self._webhook.name, error=why)
        return Opinion(False if self._webhook.denies_on_failure else None, failure=why)

    def _remember(self, body: bytes, found: Opinion) -> None:
        ttl = self._webhook.authorized_ttl_s if found.allowed else self._webhook.unauthorized_ttl_s
        if ttl <= 0 or len(body) > MAX_REMEMBERED_BYTES:
            return
        self._known[body] = (self._clock.monotonic() + ttl, found)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def review_spec(identity: Identity, asked: Attributes) -> dict[str, Any]:
    """Return the spec of a SubjectAccessReview as match conditions see it: with the fields that are empty."""
    spec: dict[str, Any] = {"user": identity.user, "groups": list(identity.groups), "uid": identity.uid}
    spec["extra"] = {key: list(values) for key, values in identity.extra.items()}
    if not asked.is_resource:
        return spec | {"nonResourceAttributes": {"path": asked.path, "verb": asked.verb}}
    attributes: dict[str, Any] = {
        "verb": asked.verb, "group": asked.group, "version": asked.version, "resource": asked.resource,
        "subresource": asked.subresource, "namespace": asked.namespace, "name": asked.name,
    }  # fmt: skip
    if asked.field_selector:
        attributes["fieldSelector"] = {"rawSelector": asked.field_selector}
    return spec | {"resourceAttributes": attributes}


def as_sent(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the spec without what is empty."""
    found = {key: value for key, value in spec.items() if value or key == "groups"}
    if "resourceAttributes" in found:
        found["resourceAttributes"] = {key: value for key, value in found["resourceAttributes"].items() if value}
    return found


def opinion_of(answer: bytes) -> Opinion:
    """Return what a webhook's answer says. Raises Unanswered."""
    try:
        status = orjson.loads(answer)["status"]
        allowed, denied, why = status.get("allowed"), status.get("denied"), status.get("reason") or ""
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Unanswered(f"the answer is no SubjectAccessReview: {error}") from error
    if allowed and denied:
        raise Unanswered("webhook subject access review returned both allow and deny response")
    return Opinion(True if allowed else False if denied else None, str(why))


def https_post(endpoint: Endpoint) -> Post:
    """Return what sends a review. Raises ssl.SSLError, OSError for certificates that are none."""
    context = _context(endpoint)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "kube-apiserver"}
    if endpoint.token:
        headers["Authorization"] = f"Bearer {endpoint.token}"

    async def post(body: bytes) -> bytes:
        import aiohttp  # an HTTP client of 7 MB: only where there is a webhook

        try:
            async with (
                aiohttp.ClientSession(trust_env=False) as session,
                session.post(
                    endpoint.url,
                    data=body,
                    headers=headers,
                    ssl=context,
                    allow_redirects=False,
                    server_hostname=endpoint.server_name or None,
                ) as response,
            ):
                if not 200 <= response.status < 300:
                    may_recover = response.status == 429 or response.status >= 500
                    kind = Unreachable if may_recover else Unanswered
                    raise kind(f"{endpoint.url} answered {response.status}")
                return await read_at_most(response, MAX_ANSWER_BYTES)
        except TooLong as error:
            raise Unanswered(f"{endpoint.url}: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{endpoint.url}: {error or type(error).__name__}") from error

    return post


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=endpoint.authority or None)
    if endpoint.is_insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if endpoint.certificate:
        # OpenSSL's binding reads a client's certificate from files only.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(endpoint.certificate + "\n" + endpoint.key)
            file.flush()
            context.load_cert_chain(file.name)
    return context
