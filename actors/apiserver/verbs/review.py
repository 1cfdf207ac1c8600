"""Questions about identities and permissions: reviews are answered at once and never stored.

Neighbours: `auth.authorizer` and `auth.tokens` know; `kubectl auth can-i` and `whoami` ask.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from actors.api import errors
from actors.api.errors import Cause
from actors.api.meta import now_rfc3339
from actors.apiserver.auth.identities import exactly
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import Answer, ApiCall, Identity
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import negotiate
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.selection import pinned_name
from actors.apiserver.verbs.create import check_namespace
from actors.apiserver.verbs.write_options import field_validation

Status = dict[str, Any]
Reviewer = Callable[[Server, ApiCall, RequestInfo, dict[str, Any]], Status | Awaitable[Status]]


async def review(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    reviewer = _REVIEWERS.get((resource.group, resource.plural))
    if reviewer is None:
        raise errors.method_not_allowed()
    negotiate(call.accept, has_table=False)  # an answer is nothing that could be listed
    obj, warnings = decode(resource, call.body, call.content_type, field_validation(info))
    metadata = obj.setdefault("metadata", {})
    check_namespace(resource, info, metadata)
    metadata.setdefault("creationTimestamp", now_rfc3339(server.clock))
    status = reviewer(server, call, info, obj)
    obj["status"] = status if isinstance(status, dict) else await status
    return Answer(201, orjson.dumps(obj), warnings=warnings)


def _self_subject(server: Server, call: ApiCall, info: RequestInfo, obj: dict[str, Any]) -> dict[str, Any]:
    return {"userInfo": call.identity.user_info()}


def _self_access(server: Server, call: ApiCall, info: RequestInfo, obj: dict[str, Any]) -> Status | Awaitable[Status]:
    return _decision(server, call.identity, obj)


def _access(server: Server, call: ApiCall, info: RequestInfo, obj: dict[str, Any]) -> Status | Awaitable[Status]:
    spec = obj.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        cause = Cause(
            "FieldValueInvalid", 'Invalid value: "": at least one of user or group must be specified', "spec.user"
        )
        raise errors.invalid(obj["kind"], "", [cause], group="authorization.k8s.io")
    if info.namespace:
        asked = spec.get("resourceAttributes") or {}
        if spec.get("nonResourceAttributes") is not None:
            cause = Cause("FieldValueForbidden", "Forbidden: disallowed on this kind of request",
                          "spec.nonResourceAttributes")  # fmt: skip
            raise errors.invalid(obj["kind"], "", [cause], group="authorization.k8s.io")
        if asked.get("namespace") != info.namespace:
            raise errors.bad_request("spec.resourceAttributes.namespace must match the namespace of the path")
    extra = {key: list(values or ()) for key, values in (spec.get("extra") or {}).items()}
    identity = exactly(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)
    return _decision(server, identity, obj)


def _decision(server: Server, identity: Identity, obj: dict[str, Any]) -> Status | Awaitable[Status]:
    spec = obj.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        cause = Cause(
            "FieldValueInvalid",
            "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            "spec.resourceAttributes",
        )
        raise errors.invalid(obj["kind"], "", [cause], group="authorization.k8s.io")
    if resource is None:
        assert path is not None, "one of the two is there"
        asked = Attributes(path.get("verb", ""), path=path.get("path", ""), is_resource=False)
    else:
        plural, _, below = resource.get("resource", "").partition("/")
        asked = Attributes(
            resource.get("verb", ""),
            resource.get("group", ""),
            plural,
            resource.get("subresource", "") or below,
            resource.get("namespace", ""),
            resource.get("name", "") or pinned_name(_field_selector(resource)),
            field_selector=_field_selector(resource),
            version=resource.get("version", ""),
        )
    if server.authorizer.asks_others:
        return _decision_of_all(server, identity, asked)
    allowed, why = server.authorizer.decide(identity, asked)
    return {"allowed": allowed, "reason": why} if why else {"allowed": allowed}


async def _decision_of_all(server: Server, identity: Identity, asked: Attributes) -> Status:
    found = await server.authorizer.decide_by_all(identity, asked)
    status: Status = {"allowed": bool(found.allowed)}
    if found.allowed is False:
        status["denied"] = True
    said = {"reason": found.reason, "evaluationError": found.failure}
    return status | {key: text for key, text in said.items() if text}


def _field_selector(resource: dict[str, Any]) -> str:
    """The fieldSelector of resourceAttributes as text; of its requirements, those that pin one value."""
    selector = resource.get("fieldSelector") or {}
    if selector.get("rawSelector"):
        return selector["rawSelector"]
    pins = [
        f"{one.get('key')}={one['values'][0]}"
        for one in selector.get("requirements") or ()
        if one.get("operator") == "In" and len(one.get("values") or ()) == 1
    ]
    return ",".join(pins)


def _self_rules(server: Server, call: ApiCall, info: RequestInfo, obj: dict[str, Any]) -> dict[str, Any]:
    namespace = (obj.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise errors.bad_request("no namespace on request")
    resources, paths = [], []
    if call.identity.is_master:
        resources.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        paths.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    for rule in server.authorizer.rbac.rules_of(call.identity, namespace):
        source = rule.source
        if rule.paths:
            paths.append({"verbs": source["verbs"], "nonResourceURLs": source["nonResourceURLs"]})
        if rule.resources:
            fields = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({name: source[name] for name in fields if source.get(name)})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": bool(call.identity.nodes)}


async def _token(server: Server, call: ApiCall, info: RequestInfo, obj: dict[str, Any]) -> dict[str, Any]:
    spec = obj.get("spec") or {}
    token = spec.get("token", "")
    if not token:
        raise errors.bad_request("token is required for TokenReview in authentication")
    return await server.bearer.review(token, spec.get("audiences") or ())


_REVIEWERS: dict[tuple[str, str], Reviewer] = {
    ("authentication.k8s.io", "selfsubjectreviews"): _self_subject,
    ("authentication.k8s.io", "tokenreviews"): _token,
    ("authorization.k8s.io", "selfsubjectaccessreviews"): _self_access,
    ("authorization.k8s.io", "subjectaccessreviews"): _access,
    ("authorization.k8s.io", "localsubjectaccessreviews"): _access,
    ("authorization.k8s.io", "selfsubjectrulesreviews"): _self_rules,
}
