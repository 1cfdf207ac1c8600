"""Paths that are no resources: health, version, metrics, discovery, OpenAPI, the keys of our tokens.

Neighbours: `machinery` has the documents of discovery, OpenAPI and version; `handler` asks.
"""

import hashlib
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from prometheus_client import generate_latest

from actors.api import errors
from actors.apiserver import health
from actors.apiserver.call import JSON, Answer, ApiCall, of_object
from actors.apiserver.component_metrics import slis
from actors.apiserver.machinery import discovery, openapi
from actors.apiserver.machinery.resource import Registry
from actors.apiserver.machinery.version import version_info
from actors.apiserver.negotiation import negotiate, wants_aggregated_discovery
from actors.apiserver.protobuf.openapi_v2 import MEDIA_TYPE as OPENAPI_V2_PROTOBUF
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server

if TYPE_CHECKING:
    from actors.apiserver.extensions.remote import Remote

PUBLIC_PATHS = health.PATHS | {"/version", "/version/"}  # all that a stranger may ask
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENAPI_V2_TYPE = "application/json"
OPENAPI_KEPT_S = 365 * 86_400  # how long a document may be kept that is asked for by its hash
AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

Checks = Callable[[], dict[str, str]]  # name of a check -> what is wrong, empty when it is well


def answer(server: Server, call: ApiCall, info: RequestInfo, checks: Checks) -> Answer:
    """Answer a path, or raise ApiError."""
    if info.verb not in ("get", "head"):
        raise errors.method_not_allowed()
    path = info.path.rstrip("/") or "/"
    if health.is_health(path):
        return health.answer(path, call.query, checks())
    if path == "/version":
        return of_object(version_info())
    if path == "/metrics":
        return Answer(200, generate_latest(server.metrics), METRICS_TEXT)
    if path == "/metrics/slis":
        return Answer(200, slis(checks()), METRICS_TEXT)
    if path in ("/api", "/apis") or path.startswith(("/api/", "/apis/")):
        return _discovery(server, call, path)
    if path.startswith("/openapi/"):
        return _openapi(server, call, path)
    if path == "/openid/v1/jwks":
        return Answer(200, orjson.dumps(server.tokens.key_set()), "application/jwk-set+json")
    if path == "/.well-known/openid-configuration":
        return of_object(_openid(server))
    if path == "/":
        return of_object({"paths": _paths(server.registry)})
    raise errors.path_not_found()


def elsewhere(server: Server, path: str) -> "Remote | None":
    """Return who else answers for a path of discovery or OpenAPI. ApiError when that one is not available."""
    if server.aggregator is None:
        return None
    parts = path.strip("/").removeprefix("openapi/v3/").split("/")
    return server.aggregator.remote_of(parts[1], parts[2]) if len(parts) == 3 and parts[0] == "apis" else None


def _discovery(server: Server, call: ApiCall, path: str) -> Answer:
    parts, registry, others = path[1:].split("/"), server.registry, server.aggregator
    if len(parts) == 1:
        if wants_aggregated_discovery(call.accept):
            groups = discovery.aggregated(parts[0] == "api", registry)
            if others is not None and parts[0] == "apis":
                groups = others.with_discovery(groups)
            return _unless_known(call, orjson.dumps(groups), AGGREGATED)
        negotiate(call.accept, has_table=False)
        listed = discovery.api_versions() if parts[0] == "api" else discovery.api_group_list(registry)
        return of_object(listed if others is None or parts[0] == "api" else others.with_groups(listed))
    document: dict[str, Any] | None = None
    if parts[0] == "api" and len(parts) == 2:
        document = discovery.api_resource_list("", parts[1], registry)
    elif parts[0] == "apis" and len(parts) == 2:
        document = discovery.api_group(parts[1], registry)
        if others is not None:
            document = others.group(parts[1], document)
    elif parts[0] == "apis" and len(parts) == 3:
        document = discovery.api_resource_list(parts[1], parts[2], registry)
    if document is None:
        raise errors.path_not_found()
    return of_object(document)


def _unless_known(call: ApiCall, body: bytes, content_type: str) -> Answer:
    """Answer with a document and its tag, or with 304 where the client has it by that tag already."""
    tag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if tag in call.header("if-none-match"):
        return Answer(304, b"", content_type, headers)
    return Answer(200, body, content_type, headers)


def _openapi(server: Server, call: ApiCall, path: str) -> Answer:
    registry = server.registry
    if path == "/openapi/v3":
        index = openapi.openapi_v3_index(registry)
        if server.aggregator is not None and (others := server.aggregator.openapi_paths()):
            document = orjson.loads(index)
            document["paths"] |= {at: {"serverRelativeURL": url} for at, url in others.items()}
            index = orjson.dumps(document)
        return _unless_known(call, index, JSON)
    if path == "/openapi/v2" and "protobuf" in call.accept:
        return _unless_known(call, openapi.openapi_v2_protobuf(registry), OPENAPI_V2_PROTOBUF)
    if path == "/openapi/v2":
        return _unless_known(call, openapi.openapi_v2(registry), OPENAPI_V2_TYPE)
    if path.startswith("/openapi/v3/"):
        return _openapi_v3(server, call, path.removeprefix("/openapi/v3/"))
    raise errors.path_not_found()


def _openapi_v3(server: Server, call: ApiCall, name: str) -> Answer:
    """Answer with one document. One that is asked for by its hash never changes, so that clients may keep it."""
    found = openapi.document_paths(server.registry).get(name)
    if found is None:
        raise errors.path_not_found()
    current = openapi.document_hash(*found, server.registry)
    asked = dict(parse_qsl(call.query)).get("hash", "")
    if asked and asked != current:
        return Answer(301, b"", headers={"Location": f"/openapi/v3/{name}?hash={current}"})
    headers = {"ETag": f'"{current}"', "Vary": "Accept"}
    if asked:
        expires = formatdate(server.clock.wall() + OPENAPI_KEPT_S, usegmt=True)
        headers |= {"Cache-Control": "public, immutable", "Expires": expires}
    if headers["ETag"] in call.header("if-none-match"):
        return Answer(304, b"", JSON, headers)
    document = openapi.openapi_v3(name, server.registry)
    assert document is not None, "its path was just found"
    return Answer(200, document, JSON, headers)


def _openid(server: Server) -> dict:
    issuer = server.tokens.issuer
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def _paths(registry: Registry) -> list[str]:
    groups = discovery.api_group_list(registry)["groups"]
    paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis"]
    for group in groups:
        paths.append(f"/apis/{group['name']}")
        paths += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    return sorted(
        paths
        + [*health.PATHS, "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"]
    )
