"""pods/binding and bindings: a Pod is given its node, once.

Neighbours: the scheduler asks; `storage.store` makes it one guaranteed update.
"""

from typing import Any

from actors.api import errors
from actors.api.errors import Cause
from actors.api.meta import now_rfc3339, set_condition
from actors.apiserver.admission import topology_labels
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.chain import admit_body
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.decode import decode_as
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import Write
from actors.apiserver.verbs.create import check_namespace
from actors.apiserver.verbs.write_options import create_options, field_validation, is_dry_run, success


async def bind(server: Server, call: ApiCall, info: RequestInfo, pods: Resource) -> Answer:
    """Bind the pod that the path, or the body of a plain Binding, names. `pods` is the resource of pods."""
    binding, _ = decode_as("", "v1", "Binding", call.body, call.content_type, field_validation(info))
    metadata = binding.setdefault("metadata", {})
    check_namespace(pods, info, metadata)
    name = info.name or metadata.get("name", "")
    _check(binding, name, metadata)
    dry_run = is_dry_run(info)
    asked = Admission(
        server, call.identity, pods, info.namespace, name, "binding", dry_run=dry_run, options=create_options(info),
        annotations=call.annotations,
    )  # fmt: skip
    topology_labels.admit(asked, binding, binding["target"]["name"])
    await admit_body(server.hooks, asked, binding)

    async def change(pod: dict[str, Any], entry: Entry) -> Write:
        _assign(pod, binding, now_rfc3339(server.clock))
        return Write(pod)

    await server.store.update(pods, info.namespace, name, change, dry_run=dry_run)
    return success(code=201, warnings=asked.warnings)


def _check(binding: dict[str, Any], name: str, metadata: dict[str, Any]) -> None:
    target = binding.get("target") or {}
    causes = []
    if metadata.get("name") and metadata["name"] != name:
        raise errors.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    if target.get("kind") not in (None, "", "Node"):
        message = f'Unsupported value: "{target["kind"]}": supported values: "Node"'
        causes.append(Cause("FieldValueNotSupported", message, "target.kind"))
    if not target.get("name"):
        causes.append(Cause("FieldValueRequired", "Required value", "target.name"))
    if causes:
        raise errors.invalid("Binding", name, causes)


def _assign(pod: dict[str, Any], binding: dict[str, Any], now: str) -> None:
    """Put the node into the pod. Raises ApiError Conflict when it has one, or is going, or is another pod."""
    metadata, spec, wanted = pod["metadata"], pod["spec"], binding["metadata"]
    name = metadata["name"]
    if wanted.get("uid") and wanted["uid"] != metadata.get("uid"):
        why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {metadata.get('uid')}"
        raise errors.conflict("pods", name, why)
    if wanted.get("resourceVersion") and wanted["resourceVersion"] != metadata["resourceVersion"]:
        raise errors.conflict("pods", name)
    if metadata.get("deletionTimestamp"):
        raise errors.conflict("pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise errors.conflict("pods/binding", name, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise errors.conflict("pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = binding["target"]["name"]
    for part in ("annotations", "labels"):
        if wanted.get(part):
            metadata[part] = {**(metadata.get(part) or {}), **wanted[part]}
    status = pod.setdefault("status", {})
    status["conditions"] = set_condition(status.get("conditions"), "PodScheduled", "True", "", "", now)
