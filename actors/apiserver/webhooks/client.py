"""Carries AdmissionReviews over HTTPS, on connections that are kept.

A server proves itself by its certificate: for the host of the URL, or for NAME.NAMESPACE.svc of a Service; against the
hook's own bundle, or the system's when it has none. Nothing of the environment (proxies) is heeded, no redirect is
followed, and an answer is read up to a limit.

Importing this loads an HTTP client of 7 MB: whoever may never call a webhook imports it when the first is called.

Neighbours: `dispatch` calls; `addresses` finds Services.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from actors.apiserver.webhooks.addresses import NoAddress
from actors.apiserver.webhooks.bodies import TooLong, read_at_most
from actors.apiserver.webhooks.call_failed import CallFailed
from actors.apiserver.webhooks.configuration import Hook, ServiceReference

MAX_ANSWER_BYTES = 3 << 20  # as large as a request to us may be
MAX_TOLD_BYTES = 256  # of a body that comes with an error
MAX_CONNECTIONS = 256  # of all webhooks together; at it calls wait, within their timeouts
MAX_CONNECTIONS_PER_HOST = 64
MAX_TRUST_STORES = 256  # TLS settings kept, one for each bundle of certificates

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, */*", "User-Agent": "kube-apiserver"}

Locate = Callable[[ServiceReference], tuple[str, int]]


class WebhookClient:
    def __init__(self, locate: Locate) -> None:
        self._resolver = ServiceResolver(locate)
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            limit=MAX_CONNECTIONS,
            limit_per_host=MAX_CONNECTIONS_PER_HOST,
        )
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True, trust_env=False)
        self._trust: dict[bytes, ssl.SSLContext] = {}

    async def call(self, hook: Hook, body: bytes, timeout_s: float) -> bytes:
        """Return the body of a webhook's answer. Raises CallFailed."""
        url = f"{hook.url}?timeout={hook.timeout_s}s"
        try:
            if hook.service is not None:
                self._resolver.know(hook.service)
            async with asyncio.timeout(timeout_s):
                return await self._post(hook, url, body)
        except TimeoutError:
            raise CallFailed(f'Post "{url}": context deadline exceeded') from None
        except NoAddress as error:
            raise CallFailed(f'Post "{url}": {error}') from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(f'Post "{url}": {_words_of(error)}') from error

    async def _post(self, hook: Hook, url: str, body: bytes) -> bytes:
        """Send a review. A kept connection may have been closed by the other side meanwhile: then once more."""
        try:
            return await self._post_once(hook, url, body)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            return await self._post_once(hook, url, body)

    async def _post_once(self, hook: Hook, url: str, body: bytes) -> bytes:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, */*",
            "User-Agent": "kube-apiserver",
        }
        async with self._session.post(
            url, data=body, headers=headers, ssl=self._trusting(hook.ca_bundle), allow_redirects=False
        ) as response:
            if response.status != 200:
                raise CallFailed(await _refusal(response))
            return await _read(response)

    def _trusting(self, bundle: bytes) -> ssl.SSLContext:
        context = self._trust.get(bundle)
        if context is None:
            if len(self._trust) >= MAX_TRUST_STORES:
                self._trust.clear()
            try:
                context = ssl.create_default_context(cadata=bundle.decode("ascii") if bundle else None)
            except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
                raise CallFailed(f"unable to load root certificates: {error}") from error
            self._trust[bundle] = context
        return context

    async def close(self) -> None:
        await self._session.close()


class ServiceResolver(AbstractResolver):
    """Resolves NAME.NAMESPACE.svc of Services that hooks refer to, and every other name as the system does."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._system = ThreadedResolver()
        self._services: dict[tuple[str, int], ServiceReference] = {}

    def know(self, service: ServiceReference) -> None:
        if len(self._services) > MAX_TRUST_STORES:
            self._services.clear()
        self._services[service.host, service.port] = service

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        service = self._services.get((host, port))
        if service is None:
            return await self._system.resolve(host, port, family)
        address, port = self._locate(service)
        if not _is_address(address):
            return await self._system.resolve(address, port, family)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)]

    async def close(self) -> None:
        await self._system.close()


def _is_address(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()


async def _read(response: Any) -> bytes:
    try:
        return await read_at_most(response, MAX_ANSWER_BYTES)
    except TooLong as error:
        raise CallFailed(str(error)) from error


async def _refusal(response: Any) -> str:
    if response.status == 404:
        return "the server could not find the requested resource"
    said = (await response.content.read(MAX_TOLD_BYTES)).decode("utf-8", "replace").strip()
    if response.status >= 500:
        return f'an error on the server ("{said or "unknown"}") has prevented the request from succeeding'
    return f"the server rejected our request for an unknown reason ({response.status}: {said})"


def _words_of(error: Exception) -> str:
    """Return an error in the words that users of Kubernetes search for."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        if "self-signed" in reason or "local issuer" in reason or "self signed" in reason:
            reason = "certificate signed by unknown authority"
        return f"tls: failed to verify certificate: x509: {reason}"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, NoAddress):
            return str(cause)
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {error.host}:{error.port}: connect: connection refused"
        return f"dial tcp {error.host}:{error.port}: {cause.strerror or cause}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error) or type(error).__name__
