"""get: one object, as the bytes that are cached.

Neighbours: `reads` makes the cache new enough; `representation` the other forms.
"""

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import METADATA_LIST, PLAIN, negotiate
from actors.apiserver.reads import settle
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server


async def get(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    wanted = negotiate(call.accept)
    if wanted.form == METADATA_LIST:
        raise errors.not_acceptable("a single object is not a PartialObjectMetadataList")
    await settle(server, info.query.get("resourceVersion", ""), resource)
    entry = server.cache.of(resource).entries.get(resource.key(info.namespace, info.name))
    if entry is None:
        raise errors.not_found(resource.group_resource, info.name)
    if wanted is PLAIN and resource.conversion is None:
        return Answer(200, entry.body)
    shown = Representation(resource, wanted, info.query, server.clock)
    return Answer(200, shown.one(entry.body), shown.content_type)
