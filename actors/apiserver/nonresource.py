"""Paths that are no resources: health, version, metrics, discovery, OpenAPI, the keys of our tokens.

Neighbours: `machinery` has the documents of discovery, OpenAPI and version; `handler` asks.
"""

from collections.abc import Callable
from typing import Any

import orjson
from prometheus_client import generate_latest

from actors.api import errors
from actors.apiserver.call import JSON, Answer, ApiCall, of_object
from actors.apiserver.machinery import discovery, openapi
from actors.apiserver.machinery.version import version_info
from actors.apiserver.negotiation import wants_aggregated_discovery
from actors.apiserver.protobuf.openapi_v2 import MEDIA_TYPE as OPENAPI_V2_PROTOBUF
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server

HEALTH_PATHS = frozenset({"/healthz", "/livez", "/readyz"})
PUBLIC_PATHS = HEALTH_PATHS | {"/version", "/version/"}  # all that a stranger may ask
TEXT = "text/plain; charset=utf-8"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENAPI_V2_TYPE = "application/json"

Checks = Callable[[], dict[str, str]]  # name of a check -> what is wrong, empty when it is well


def answer(server: Server, call: ApiCall, info: RequestInfo, checks: Checks) -> Answer:
    """Answer a path, or raise ApiError."""
    if info.verb not in ("get", "head"):
        raise errors.ApiError(405, "MethodNotAllowed", f"the server does not allow {call.method} on {info.path}")
    path = info.path.rstrip("/") or "/"
    if path in HEALTH_PATHS or path.startswith(("/healthz/", "/livez/", "/readyz/")):
        return _health(path, info, checks())
    if path == "/version":
        return of_object(version_info())
    if path == "/metrics":
        return Answer(200, generate_latest(server.metrics), METRICS_TEXT)
    if path in ("/api", "/apis") or path.startswith(("/api/", "/apis/")):
        return _discovery(call, path)
    if path.startswith("/openapi/"):
        return _openapi(path, call.accept)
    if path == "/openid/v1/jwks":
        return Answer(200, orjson.dumps(server.tokens.key_set()), "application/jwk-set+json")
    if path == "/.well-known/openid-configuration":
        return of_object(_openid(server))
    if path == "/":
        return of_object({"paths": _paths()})
    raise errors.path_not_found()


def _health(path: str, info: RequestInfo, checks: dict[str, str]) -> Answer:
    """`?verbose` lists the checks, `?exclude=` leaves one out, /readyz/NAME asks for one. To answer is to live."""
    kind, _, name = path[1:].partition("/")
    if kind == "livez":
        checks = {"ping": ""}
    excluded = info.query.get("exclude", "")
    checks = {check: wrong for check, wrong in checks.items() if check != excluded}
    if name:
        if name not in checks:
            raise errors.path_not_found()
        checks = {name: checks[name]}
    failed = [check for check, wrong in checks.items() if wrong]
    if not failed and "verbose" not in info.query:
        return Answer(200, b"ok", TEXT)
    lines = [f"[-]{check} failed: {wrong}" if wrong else f"[+]{check} ok" for check, wrong in checks.items()]
    lines.append(f"{kind} check {'failed' if failed else 'passed'}")
    return Answer(500 if failed else 200, "\n".join(lines).encode() + b"\n", TEXT)


def _discovery(call: ApiCall, path: str) -> Answer:
    parts = path[1:].split("/")
    if len(parts) == 1:
        version = wants_aggregated_discovery(call.accept)
        if version == "v2":
            groups = discovery.aggregated(parts[0] == "api")
            return Answer(200, orjson.dumps(groups), f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        return of_object(discovery.api_versions() if parts[0] == "api" else discovery.api_group_list())
    document: dict[str, Any] | None = None
    if parts[0] == "api" and len(parts) == 2:
        document = discovery.api_resource_list("", parts[1])
    elif parts[0] == "apis" and len(parts) == 2:
        document = discovery.api_group(parts[1])
    elif parts[0] == "apis" and len(parts) == 3:
        document = discovery.api_resource_list(parts[1], parts[2])
    if document is None:
        raise errors.path_not_found()
    return of_object(document)


def _openapi(path: str, accept: str) -> Answer:
    if path == "/openapi/v3":
        return Answer(200, openapi.openapi_v3_index())
    if path == "/openapi/v2" and "protobuf" in accept:
        return Answer(200, openapi.openapi_v2_protobuf(), OPENAPI_V2_PROTOBUF)
    if path == "/openapi/v2":
        return Answer(200, openapi.openapi_v2(), OPENAPI_V2_TYPE)
    if path.startswith("/openapi/v3/"):
        document = openapi.openapi_v3(path.removeprefix("/openapi/v3/"))
        if document is not None:
            return Answer(200, document)
    raise errors.path_not_found()


def _openid(server: Server) -> dict:
    issuer = server.tokens.issuer
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def _paths() -> list[str]:
    groups = discovery.api_group_list()["groups"]
    paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis"]
    for group in groups:
        paths.append(f"/apis/{group['name']}")
        paths += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    return sorted(paths + [*HEALTH_PATHS, "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"])
