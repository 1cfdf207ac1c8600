"""A custom resource's schema as decoding uses it: in the place of a built-in kind's `Struct`.

Compiled when the first object comes. Metadata is decoded as everywhere; all else is pruned. A value of the wrong type
is for validation to refuse, with 422, where a built-in kind refuses it in decoding, with 400.

Neighbours: `machinery.schema` keeps shapes by kind; `machinery.decode` and `machinery.apply` use them.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from actors.apiserver.extensions.schema import structural
from actors.apiserver.extensions.schema.embedded import metadata_shape
from actors.apiserver.extensions.schema.node import Node
from actors.apiserver.machinery.schema.shapes import Field, Report

if TYPE_CHECKING:
    from actors.apiserver.extensions.schema.rules import Scope

PRESERVE_ALL = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class CustomShape:
    """`structural` is the openAPIV3Schema of one version."""

    def __init__(self, structural: Mapping[str, Any]) -> None:
        self.structural = structural

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(orjson.dumps(self.structural)).hexdigest()

    @cached_property
    def node(self) -> Node:
        return Node(self.structural, root=True)

    @cached_property
    def rules(self) -> "Scope | None":
        if not structural.has_rules(self.structural):
            return None
        from actors.apiserver.extensions.schema.rules import scope_of  # loads CEL: not before there is a rule

        return scope_of(self.node)

    @cached_property
    def fields(self) -> dict[str, Field]:
        return {"metadata": Field(metadata_shape(), {})}

    def fits(self, value: Any) -> bool:
        """True when nothing is to be done: the value is valid, without nulls, unknown fields, missing defaults."""
        if type(value) is not dict or not metadata_shape().fits(value.get("metadata", {})):
            return False
        return self.node.fits(value)

    def conform_at(self, value: dict[str, Any], path: str, struct: str, report: Report) -> dict[str, Any]:
        """Prune a value, in place. Raises Unfit when its metadata is mistyped."""
        metadata = value.get("metadata")
        if metadata is None:
            value.pop("metadata", None)
        else:
            value["metadata"] = metadata_shape().conform_at(metadata, "metadata", "ObjectMeta", report)
        self.node.prune(value, "", report.unknown)
        return value
