"""Conversion by a webhook: a ConversionReview v1 over HTTPS, and what may come back.

The answer must be as many objects, of the wanted version, in order, with the metadata that they had: a webhook may
change labels and annotations, and nothing else of it. Anything else fails the request that needed the objects, with 500
in the words of Kubernetes; so does a webhook that cannot be reached.

Neighbours: `versions` asks; `webhooks.client` carries.
"""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from actors.api import errors
from actors.api.errors import ApiError
from actors.apiserver.parts import Parts
from actors.apiserver.webhooks.addresses import find_address
from actors.apiserver.webhooks.call_failed import CallFailed
from actors.apiserver.webhooks.configuration import Hook, ServiceReference

if TYPE_CHECKING:
    from actors.apiserver.webhooks.client import WebhookClient

TIMEOUT_S = 30  # Kubernetes' time for a conversion
_IMMUTABLE = ("name", "namespace", "uid")
_MAY_CHANGE = ("labels", "annotations")

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """The part of a hook that `WebhookClient` looks at."""

    url: str
    service: ServiceReference | None
    ca_bundle: bytes
    timeout_s: int = TIMEOUT_S


class ConversionWebhooks:
    """Makes the converters of definitions. They share one client, which is made when the first is called."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._client: WebhookClient | None = None

    def converter_of(self, definition: Object) -> "Converter | None":
        """Return what converts the objects of a definition; None when only their apiVersion differs."""
        conversion = definition["spec"].get("conversion") or {}
        if conversion.get("strategy") != "Webhook":
            return None
        return Converter(self, definition["metadata"]["name"], conversion["webhook"]["clientConfig"])

    async def call(self, endpoint: _Endpoint, body: bytes) -> bytes:
        if self._client is None:
            from actors.apiserver.webhooks.client import WebhookClient  # loads an HTTP client: not before it is needed

            def locate(service: ServiceReference) -> tuple[str, int]:
                return find_address(self._parts.cache, service, self._parts.random)

            self._client = WebhookClient(locate)
        return await self._client.call(cast(Hook, endpoint), body, TIMEOUT_S)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class Converter:
    """Converts the objects of one definition."""

    def __init__(self, webhooks: ConversionWebhooks, name: str, client: Object) -> None:
        self._webhooks = webhooks
        self._name = name
        service = client.get("service")
        reference, url = None, client.get("url", "")
        if service is not None:
            reference = ServiceReference(service["namespace"], service["name"], service.get("port") or 443)
            url = f"https://{reference.host}:{reference.port}/{(service.get('path') or '').lstrip('/')}"
        self._endpoint = _Endpoint(url, reference, base64.b64decode(client.get("caBundle") or ""))

    async def __call__(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        """Return objects in another version, in order. Those that are of it already are not sent. Raises ApiError."""
        others = [obj for obj in objects if obj["apiVersion"] != api_version]
        if not others:
            return list(objects)
        uid = str(uuid.uuid4())
        request = {"uid": uid, "desiredAPIVersion": api_version, "objects": others}
        review = {"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request}
        try:
            answer = await self._webhooks.call(self._endpoint, orjson.dumps(review))
        except CallFailed as error:
            raise self._failed(others[0], str(error)) from error
        converted = iter(self._checked(answer, uid, others, api_version))
        return [obj if obj["apiVersion"] == api_version else next(converted) for obj in objects]

    def _checked(self, body: bytes, uid: str, objects: list[Object], api_version: str) -> list[Object]:
        """Return the converted objects of an answer, with the metadata that they may not have changed."""
        try:
            response = orjson.loads(body).get("response") or {}
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise self._failed(objects[0], f"invalid response: {error}") from error
        if response.get("uid") != uid:
            raise self._failed(objects[0], f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
        result = response.get("result") or {}
        if result.get("status") != "Success":
            raise self._failed(objects[0], result.get("message") or "response.result.status must be Success")
        converted = response.get("convertedObjects") or []
        if len(converted) != len(objects):
            why = f"expected {len(objects)} converted objects, got {len(converted)}"
            raise self._failed(objects[0], f"webhook returned {len(converted)} objects, expected {len(objects)}: {why}")
        return [self._restored(old, new, api_version) for old, new in zip(objects, converted, strict=True)]

    def _restored(self, old: Object, new: Any, api_version: str) -> Object:
        if type(new) is not dict or type(new.get("metadata")) is not dict:
            raise self._failed(old, "the converted object is no object with metadata")
        for name, wanted in (("apiVersion", api_version), ("kind", old["kind"])):
            if new.get(name) != wanted:
                raise self._failed(old, f"returned object has {name} {new.get(name)!r}, expected {wanted!r}")
        metadata, given = dict(old["metadata"]), new["metadata"]
        for name in _IMMUTABLE:
            if given.get(name) != metadata.get(name):
                raise self._failed(old, f"returned object with metadata.{name} changed: {given.get(name)!r}")
        for name in _MAY_CHANGE:
            if given.get(name):
                metadata[name] = given[name]
            else:
                metadata.pop(name, None)
        return {**new, "metadata": metadata}

    def _failed(self, obj: Object, why: str) -> ApiError:
        group, _, version = obj["apiVersion"].rpartition("/")
        return errors.internal(f"conversion webhook for {group}/{version}, Kind={obj['kind']} failed: {why}")
