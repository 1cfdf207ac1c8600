"""Answers about objects that are made when somebody wants to see them, and stored nowhere.

Neighbours: `metrics` and `component_statuses` make them.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from actors.api import errors
from actors.api.selectors import SelectorError, fields_match, parse_field_selector, parse_label_selector
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import METADATA, negotiate
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server

Object = dict[str, Any]


def answer_with(server: Server, call: ApiCall, info: RequestInfo, resource: Resource, made: Iterable[Object]) -> Answer:
    """Answer a get with the one that is meant, a list with those that are selected. Raises ApiError."""
    wanted = negotiate(call.accept)
    shown = Representation(resource, wanted, info.query, server.clock)
    if info.verb == "get":
        found = next((obj for obj in made if obj["metadata"]["name"] == info.name), None)
        if found is None:
            raise errors.not_found(resource.group_resource, info.name)
        return Answer(200, shown.one(orjson.dumps(found)), shown.content_type)
    if wanted.form == METADATA:
        raise errors.not_acceptable("a list is not a PartialObjectMetadata")
    bodies = [orjson.dumps(obj) for obj in _selected(made, info)]
    return Answer(200, shown.many(bodies, {}), shown.content_type)


def _selected(made: Iterable[Object], info: RequestInfo) -> list[Object]:
    try:
        labels = parse_label_selector(info.query.get("labelSelector", ""))
        fields = parse_field_selector(info.query.get("fieldSelector", ""))
    except SelectorError as error:
        raise errors.bad_request(str(error)) from error
    for requirement in fields:
        if requirement.field not in ("metadata.name", "metadata.namespace"):
            raise errors.bad_request(f"field label not supported: {requirement.field}")
    return [
        obj
        for obj in made
        if labels.matches(obj["metadata"].get("labels"))
        and fields_match(fields, lambda field, obj=obj: obj["metadata"].get(field.partition(".")[2], ""))  # type: ignore[misc]
    ]
