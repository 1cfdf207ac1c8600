"""namespaces/finalize: the namespace controller says that a namespace is empty, and it goes.

Neighbours: `update` does the same for other finalizers.
"""

from typing import Any

from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import Write
from actors.apiserver.verbs.deletion import may_go
from actors.apiserver.verbs.update import check_name, check_preconditions
from actors.apiserver.verbs.write_options import field_validation, is_dry_run, written


async def finalize(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    wanted, warnings = decode(resource, call.body, call.content_type, field_validation(info))
    check_name(resource, info, wanted)

    async def change(current: dict[str, Any], entry: Entry) -> Write:
        check_preconditions(resource, wanted, entry, current)
        finalizers = (wanted.get("spec") or {}).get("finalizers")
        spec = current.setdefault("spec", {})
        if finalizers:
            spec["finalizers"] = finalizers
        else:
            spec.pop("finalizers", None)
        return Write(None, last=current) if may_go(resource, current) else Write(current)

    entry, _ = await server.store.update(resource, "", info.name, change, dry_run=is_dry_run(info))
    return written(server, call, info, resource, entry, 200, warnings)
