"""Namespace lifecycle: nothing is created in a namespace that is missing or terminating; some are never deleted.

Neighbours: `chain`. The namespace controller empties a terminating namespace and then finalizes it.
"""

from functools import lru_cache

import orjson

from actors.api import errors
from actors.apiserver.admission.attributes import NAMESPACES as PREFIX
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.parts import Parts

IMMORTAL = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
KNOWN = 256  # namespaces as they are now, for which that is known
_TERMINATING = b'"deletionTimestamp":'


def is_open(parts: Parts, where: str) -> bool:
    """Is a namespace there for sure, and not on its way out?"""
    entry = parts.cache.at(PREFIX).entries.get(PREFIX + where.encode())
    return entry is not None and not _may_be_terminating(entry.body)


@lru_cache(maxsize=KNOWN)
def _may_be_terminating(body: bytes) -> bool:
    return _TERMINATING in body


async def admit_create(parts: Parts, resource: Resource, where: str, name: str) -> None:
    """See the module. A namespace that the cache does not know yet may just have been made: look again, newest."""
    namespaces = parts.cache.at(PREFIX)
    key = PREFIX + where.encode()
    entry = namespaces.entries.get(key)
    if entry is None:
        await parts.barrier.fresh()
        entry = namespaces.entries.get(key)
        if entry is None:
            raise errors.not_found("namespaces", where)
    if not _may_be_terminating(entry.body):
        return
    if not orjson.loads(entry.body)["metadata"].get("deletionTimestamp"):
        return
    error = errors.forbidden(
        resource.group_resource,
        name,
        f"unable to create new content in namespace {where} because it is being terminated",
    )
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {where} is being terminated",
        "field": "metadata.namespace",
    }
    error.details["causes"] = [cause]
    raise error


def admit_delete(asked: Admission) -> None:
    if asked.name in IMMORTAL:
        raise errors.forbidden("namespaces", asked.name, "this namespace may not be deleted")
