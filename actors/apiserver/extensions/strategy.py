"""The hooks of a custom resource: defaults and validation by its schema, who writes the status, when generation rises.

Neighbours: `resources` gives each version one; `schema` does the work.
"""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.extensions.schema.node import UNSET
from actors.apiserver.extensions.schema.shape import CustomShape
from actors.apiserver.machinery.kinds.with_status import WithStatus

_NO_SPEC = frozenset({"metadata", "apiVersion", "kind"})


class CustomStrategy(WithStatus):
    """`has_status`: the status is the status subresource's, else it is a field like any other."""

    ratchets = True
    allow_create_on_update = False
    allow_unconditional_update = False
    metadata_with_status = ("managedFields",)

    def __init__(self, shape: CustomShape, has_status: bool) -> None:
        self._shape = shape
        self._has_status = has_status

    def default(self, obj: dict[str, Any]) -> None:
        if not self._shape.node.fits(obj):
            self._shape.node.default(obj)

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        if self._has_status:
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        if self._has_status:
            super().prepare_for_update(obj, old)
        elif self.generation_parts(obj) != self.generation_parts(old):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def generation_parts(self, obj: dict[str, Any]) -> Any:
        """All but the metadata, and but the status where that is a subresource."""
        left_out = _NO_SPEC | {"status"} if self._has_status else _NO_SPEC
        return {name: part for name, part in obj.items() if name not in left_out}

    def prepare_for_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        given = "status" in obj
        super().prepare_for_status_update(obj, old)
        if not given:
            obj.pop("status", None)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        return self._causes(obj, UNSET)

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return self._causes(obj, old)

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return self._causes(obj, old)

    def _causes(self, obj: dict[str, Any], old: Any) -> list[Cause]:
        """What the schema has against an object; its rules run only where the schema has nothing."""
        shape = self._shape
        causes: list[Cause] = []
        if not shape.node.fits(obj):
            shape.node.validate(obj, "", causes, old)
        if not causes and shape.rules is not None:
            causes = shape.rules.causes(obj, old)
        return causes
