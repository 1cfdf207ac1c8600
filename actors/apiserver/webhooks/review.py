"""AdmissionReviews: what a webhook is asked, and what it may answer. Pure.

Source: admission.k8s.io/v1. Neighbours: `dispatch` asks with these, `client` carries them.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import orjson

from actors.api.errors import ApiError
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.machinery.resource import Resource

API_VERSION, KIND = "admission.k8s.io/v1", "AdmissionReview"
MAX_WARNING_CHARS = 4096  # of all warnings of one answer, as Kubernetes cuts them

Object = dict[str, Any]


class BadReview(ValueError):
    """The webhook's answer is no AdmissionReview that answers ours."""


@dataclass(frozen=True, slots=True)
class Shown:
    """As what an object is shown: the resource and kind that a webhook asked for, and those of the request."""

    resource: Resource
    requested: Resource
    kind: Object
    requested_kind: Object


@dataclass(frozen=True, slots=True)
class Verdict:
    """`patch` is a list of JSON patch operations; `status` says why not."""

    allowed: bool
    status: Object = field(default_factory=dict)
    patch: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


def request_of(asked: Admission, shown: Shown, uid: str, obj: Object | None, old: Object | None) -> Object:
    """Return the `request` of a review."""
    request: Object = {
        "uid": uid,
        "kind": shown.kind,
        "resource": _resource(shown.resource),
        "requestKind": shown.requested_kind,
        "requestResource": _resource(shown.requested),
    }
    if asked.subresource:
        request["subResource"] = request["requestSubResource"] = asked.subresource
    if asked.name:
        request["name"] = asked.name
    if asked.namespace:
        request["namespace"] = asked.namespace
    return request | {
        "operation": asked.operation,
        "userInfo": asked.identity.user_info(),
        "object": obj,
        "oldObject": old,
        "dryRun": asked.dry_run,
        "options": asked.options,
    }


def review(request: Object) -> bytes:
    """Return the body that is sent."""
    return orjson.dumps({"kind": KIND, "apiVersion": API_VERSION, "request": request})


def verdict_of(body: bytes, uid: str, *, mutating: bool) -> Verdict:
    """Return what a webhook's answer says. Raises BadReview."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadReview(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(answer, dict):
        raise BadReview("couldn't get version/kind; json parse error: not an object")
    if answer.get("apiVersion") != API_VERSION or answer.get("kind") != KIND:
        found = f"{answer.get('apiVersion', '')}, Kind={answer.get('kind', '')}"
        raise BadReview(f"expected webhook response of {API_VERSION}, Kind={KIND}, got {found}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadReview("webhook response was absent")
    if response.get("uid") != uid:
        raise BadReview(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    return Verdict(
        allowed=response.get("allowed") is True,
        status=_object(response.get("status")),
        patch=_patch(response, mutating=mutating),
        warnings=_warnings(response.get("warnings")),
        annotations={str(key): str(value) for key, value in _object(response.get("auditAnnotations")).items()},
    )


def refusal(hook: str, status: Object) -> ApiError:
    """Return the error of a webhook that said no: its own code and reason, never less than an error's."""
    denied = f'admission webhook "{hook}" denied the request'
    message, reason = status.get("message"), status.get("reason")
    code = status.get("code")
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    if message:
        text = f"{denied}: {message}"
    else:
        text = f"{denied}: {reason}" if reason else f"{denied} without explanation"
    return ApiError(code, str(reason or ""), text, _object(status.get("details")))


def cut_warnings(warnings: list[str]) -> list[str]:
    """Return warnings cut to what fits their limit altogether."""
    left, kept = MAX_WARNING_CHARS, []
    for warning in warnings:
        if left <= 0:
            break
        kept.append(warning[:left])
        left -= len(warning)
    return kept


def _resource(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _warnings(value: Any) -> list[str]:
    return cut_warnings([one for one in value if isinstance(one, str)]) if isinstance(value, list) else []


def _patch(response: Object, *, mutating: bool) -> list[Any]:
    patch, kind = response.get("patch"), response.get("patchType")
    if not patch:
        if kind is not None:
            raise BadReview("webhook returned response.patchType but not response.patch")
        return []
    if not mutating:
        raise BadReview("validating webhook may not set response.patch")
    if kind != "JSONPatch":
        raise BadReview(f'invalid response.patchType of "{kind}"')
    try:
        operations = orjson.loads(base64.b64decode(patch, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise BadReview(f"response.patch is not JSON in base64: {error}") from error
    if not isinstance(operations, list):
        raise BadReview("response.patch is not a list of operations")
    return operations
