"""serviceaccounts/token: a signed, bound, short-lived token for a service account.

Neighbours: `auth.tokens` signs.
"""

from typing import Any

import orjson

from actors.api import errors
from actors.api.errors import Cause
from actors.api.meta import now_rfc3339, rfc3339
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.chain import admit_body
from actors.apiserver.admission.node import admit_token
from actors.apiserver.auth.tokens import MAX_LIFETIME_S, MIN_LIFETIME_S
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.decode import decode_as
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.verbs.create import check_namespace
from actors.apiserver.verbs.write_options import create_options, field_validation, is_dry_run

DEFAULT_LIFETIME_S = 3600
BINDABLE = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


async def create_token(server: Server, call: ApiCall, info: RequestInfo, accounts: Resource) -> Answer:
    request, warnings = decode_as(
        "authentication.k8s.io", "v1", "TokenRequest", call.body, call.content_type, field_validation(info)
    )
    metadata = request.setdefault("metadata", {})
    check_namespace(accounts, info, metadata)
    asked = Admission(
        server, call.identity, accounts, info.namespace, info.name, "token", dry_run=is_dry_run(info),
        options=create_options(info), annotations=call.annotations,
    )  # fmt: skip
    if call.identity.nodes:
        admit_token(asked, request)
    await admit_body(server.hooks, asked, request)
    spec = request.get("spec") or {}
    lifetime_s = _lifetime_s(spec)
    entry = await server.store.read(accounts.key(info.namespace, info.name))
    if entry is None:
        raise errors.not_found(accounts.group_resource, info.name)
    bound, node = await _bound(server, info, spec.get("boundObjectRef"))
    audiences = spec.get("audiences") or [server.tokens.issuer]
    token, _ = server.tokens.issue(entry.decode(), audiences, lifetime_s, bound, node)
    expires = int(server.clock.wall()) + lifetime_s
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": info.name, "namespace": info.namespace, "creationTimestamp": now_rfc3339(server.clock)},
        "spec": {
            "audiences": audiences,
            "expirationSeconds": lifetime_s,
            "boundObjectRef": spec.get("boundObjectRef"),
        },
        "status": {"token": token, "expirationTimestamp": rfc3339(expires)},
    }
    return Answer(201, orjson.dumps(answer), warnings=warnings + asked.warnings)


def _lifetime_s(spec: dict[str, Any]) -> int:
    lifetime_s = spec.get("expirationSeconds") or DEFAULT_LIFETIME_S
    why = ""
    if lifetime_s < MIN_LIFETIME_S:
        why = "may not specify a duration less than 10 minutes"
    elif lifetime_s > MAX_LIFETIME_S:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = Cause("FieldValueInvalid", f"Invalid value: {lifetime_s}: {why}", "spec.expirationSeconds")
        raise errors.invalid("TokenRequest", "", [cause], group="authentication.k8s.io")
    return lifetime_s


async def _bound(
    server: Server, info: RequestInfo, reference: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """Return (what the token is bound to with its uid, the node of a bound pod)."""
    if not reference:
        return None, None
    kind, name = reference.get("kind", ""), reference.get("name", "")
    plural = BINDABLE.get((reference.get("apiVersion") or "v1", kind))
    if plural is None:
        raise errors.bad_request(f"cannot bind token for serviceaccount to object of type {kind}")
    resource = server.registry.lookup("", "v1", plural)
    assert resource is not None, "pods, secrets and nodes are built in"
    entry = await server.store.read(resource.key(info.namespace, name))
    if entry is None:
        raise errors.not_found(plural, name)
    obj = entry.decode()
    uid = obj["metadata"]["uid"]
    if reference.get("uid") and reference["uid"] != uid:
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record ({uid})"
        raise errors.conflict(plural, name, why)
    if kind != "Pod":
        return {"kind": kind, "name": name, "uid": uid}, None
    spec = obj.get("spec") or {}
    if spec.get("serviceAccountName") != info.name:
        raise errors.bad_request(f"cannot bind token to a pod running with a different serviceaccount: {name}")
    return {"kind": kind, "name": name, "uid": uid}, _node(server, spec.get("nodeName", ""))


def _node(server: Server, name: str) -> dict[str, str] | None:
    if not name:
        return None
    nodes = server.cache.at(b"/registry/nodes/")
    entry = nodes.entries.get(nodes.prefix + name.encode())
    return {"name": name, "uid": entry.decode()["metadata"]["uid"]} if entry else {"name": name}
