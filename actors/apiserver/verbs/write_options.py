"""What the query of a write may say, and how a written object is answered.

Neighbours: every verb that writes.
"""

from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery import field
from actors.apiserver.machinery.decode import IGNORE, STRICT, WARN
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import PLAIN, negotiate
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry

DRY_RUN_ALL = "All"
_FIELD_VALIDATIONS = ("", IGNORE, STRICT, WARN)


_KIND_OF_VERB = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions", "list": "ListOptions",
                 "watch": "ListOptions"}  # fmt: skip


def invalid_options(info: RequestInfo, *causes: errors.Cause) -> errors.ApiError:
    """Return the refusal of a request's options."""
    kind = _KIND_OF_VERB.get(info.verb, "DeleteOptions")
    return errors.invalid(kind, "", list(causes), group="meta.k8s.io")


def is_dry_run(info: RequestInfo) -> bool:
    """Read dryRun; Invalid for any value but All."""
    value = info.query.get("dryRun", "")
    if value not in ("", DRY_RUN_ALL):
        raise invalid_options(info, field.not_supported("dryRun", [value], [DRY_RUN_ALL]))
    return value == DRY_RUN_ALL


def field_validation(info: RequestInfo) -> str:
    """Read fieldValidation; Warn when it is absent, as Kubernetes. Raises ApiError Invalid."""
    value = info.query.get("fieldValidation", "")
    if value not in _FIELD_VALIDATIONS:
        raise invalid_options(info, field.not_supported("fieldValidation", value, _FIELD_VALIDATIONS))
    return value or WARN


def create_options(info: RequestInfo) -> dict[str, Any]:
    """Return the CreateOptions of a request, as admission is told of them."""
    return _options("CreateOptions", info)


def update_options(info: RequestInfo) -> dict[str, Any]:
    """Return the UpdateOptions of a PUT."""
    return _options("UpdateOptions", info)


def patch_options(info: RequestInfo) -> dict[str, Any]:
    """Return the PatchOptions of a PATCH."""
    made = _options("PatchOptions", info)
    if "force" in info.query:
        made["force"] = is_true(info.query["force"])
    return made


def _options(kind: str, info: RequestInfo) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if info.query.get("dryRun"):
        made["dryRun"] = [info.query["dryRun"]]
    for name in ("fieldManager", "fieldValidation"):
        if info.query.get(name):
            made[name] = info.query[name]
    return made


def success(
    message_of: str = "", details: dict[str, Any] | None = None, code: int = 200, warnings: list[str] | None = None
) -> Answer:
    """Answer with a Status of success."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if message_of:
        status["message"] = message_of
    if details:
        status["details"] = details
    if code != 200:
        status["code"] = code
    return Answer(code, orjson.dumps(status), warnings=warnings)


def written(
    server: Server,
    call: ApiCall,
    info: RequestInfo,
    resource: Resource,
    entry: Entry,
    status: int = 200,
    warnings: list[str] | None = None,
) -> Answer:
    """Answer with a written object in the form that the client accepts."""
    wanted = negotiate(call.accept)
    if wanted is PLAIN and resource.conversion is None:
        return Answer(status, entry.body, warnings=warnings)
    shown = Representation(resource, wanted, info.query, server.clock)
    return Answer(status, shown.one(entry.body), shown.content_type, warnings=warnings)
