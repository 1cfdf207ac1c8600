"""An audit.k8s.io/v1 Event, put together from a request and its answer. Pure.

Objects are put in as the bytes that they came or went as, where that can be: they are not decoded for the log.

Source: audit.k8s.io/v1 Event. Neighbours: `auditor` says when.
"""

from typing import Any

import orjson

from actors.api.meta import rfc3339_micro
from actors.apiserver.audit.policy import NAME_OF_LEVEL, Level, Rule
from actors.apiserver.call import ApiCall
from actors.apiserver.machinery.body import Malformed, parse_json, parse_yaml
from actors.apiserver.request_info import RequestInfo

MAX_OBJECT_BYTES = 1 << 20  # of a request's or response's object; a larger one is left out, and the event says so
TRUNCATED = "audit.k8s.io/truncated"
PATCH_NOTE = "patch.webhook.admission.k8s.io"  # of annotations that tell of a body


def begun(audit_id: str, rule: Rule, call: ApiCall, info: RequestInfo, received_s: float) -> dict[str, Any]:
    """Return what every event of a request says."""
    who = call.impersonator or call.identity
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": NAME_OF_LEVEL[rule.level],
        "auditID": audit_id,
        "stage": "",
        "requestURI": f"{call.raw_path}?{call.query}" if call.query else call.raw_path,
        "verb": info.verb,
        "user": who.user_info(),
    }
    if call.impersonator is not None:
        event["impersonatedUser"] = call.identity.user_info()
    if call.source:
        event["sourceIPs"] = [call.source]
    if call.user_agent:
        event["userAgent"] = call.user_agent
    if info.is_resource:
        event["objectRef"] = _reference(info)
    event["requestReceivedTimestamp"] = rfc3339_micro(received_s)
    return event


def _reference(info: RequestInfo) -> dict[str, str]:
    reference = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name,
        "apiGroup": info.group,
        "apiVersion": info.version,
        "subresource": info.subresource,
    }
    return {key: value for key, value in reference.items() if value}


def add_objects(event: dict[str, Any], rule: Rule, call: ApiCall, body: bytes, is_json: bool) -> None:
    """Put in the objects that the rule's level asks for. `body` is the answer's."""
    if rule.level >= Level.REQUEST and call.body:
        _put(event, "requestObject", call.body, _is_yaml(call.content_type), rule)
    if rule.level >= Level.REQUEST_RESPONSE and body and is_json:
        _put(event, "responseObject", body, False, rule)


def add_status(event: dict[str, Any], code: int, body: bytes) -> None:
    """Put in how it ended: of a refusal, its Status without details."""
    status: dict[str, Any] = {"metadata": {}, "code": code}
    if code >= 400:
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            told = {}
        if isinstance(told, dict) and told.get("kind") == "Status":
            status |= {key: told[key] for key in ("status", "message", "reason") if told.get(key)}
    event["responseStatus"] = status


def add_decision(event: dict[str, Any], allowed: bool, why: str) -> None:
    annotations = event.setdefault("annotations", {})
    annotations["authorization.k8s.io/decision"] = "allow" if allowed else "forbid"
    annotations["authorization.k8s.io/reason"] = why


def add_annotations(event: dict[str, Any], rule: Rule, told: dict[str, str]) -> None:
    """Put in what admission tells of a request. The first to use a key has it."""
    annotations = event.setdefault("annotations", {})
    for key, text in told.items():
        if rule.level >= Level.REQUEST or not key.startswith(PATCH_NOTE):
            annotations.setdefault(key, text)


def name_of_created(body: bytes) -> str:
    """The name of a created object, which the path of the request doesn't hold."""
    try:
        return str(orjson.loads(body)["metadata"]["name"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def encode(event: dict[str, Any]) -> bytes:
    """Return the line of the log."""
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def _put(event: dict[str, Any], key: str, body: bytes, is_yaml: bool, rule: Rule) -> None:
    if len(body) > MAX_OBJECT_BYTES:
        event.setdefault("annotations", {})[TRUNCATED] = "true"
        return
    try:
        obj, _ = parse_yaml(body) if is_yaml else parse_json(body, want_duplicates=False)
    except Malformed:
        return  # it was refused for that
    if not isinstance(obj, dict | list):
        return
    if rule.omits_managed_fields:
        _omit_managed_fields(obj)
        event[key] = obj
    else:
        event[key] = obj if is_yaml else orjson.Fragment(body)


def _omit_managed_fields(obj: Any) -> None:
    for one in obj.get("items") or (obj,) if isinstance(obj, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("metadata"), dict):
            one["metadata"].pop("managedFields", None)


def _is_yaml(content_type: str) -> bool:
    return "yaml" in content_type
