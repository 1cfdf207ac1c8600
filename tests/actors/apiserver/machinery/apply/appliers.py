"""Objects with appliers, and short ways through an apply. Times are counted so that each write has its own."""

from typing import Any

import orjson
import yaml

from actors.apiserver.machinery.apply import field_set
from actors.apiserver.machinery.apply.kinds import KINDS, of_structural
from actors.apiserver.machinery.apply.managers import Writer
from actors.apiserver.machinery.apply.request import applied, configuration, for_path
from actors.apiserver.machinery.apply.tracking import same_but_times, track_create, track_update
from tests.actors.apiserver.machinery.objects import UID, resource

WIDGET = ("example.com/v1", "Widget")
STRUCTURAL = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "whole": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "additionalProperties": {"type": "string"},
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "plain": {"type": "array", "items": {"type": "string"}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": {
                        "type": "object",
                        "properties": {
                            "port": {"type": "integer"},
                            "protocol": {"type": "string", "default": "TCP"},
                            "name": {"type": "string"},
                            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                        },
                    },
                },
            },
        }
    },
}
KINDS.add(*WIDGET, of_structural(STRUCTURAL))
WIDGETS = KINDS.of(*WIDGET)


def writer(manager: str, now: int = 0, subresource: str = "", api_version: str = "v1") -> Writer:
    return Writer(manager, api_version, subresource, f"2026-05-01T12:{now // 60:02d}:{now % 60:02d}Z")


def parsed(text: str | dict[str, Any]) -> dict[str, Any]:
    return yaml.safe_load(text) if isinstance(text, str) else orjson.loads(orjson.dumps(text))


class Applied:
    """An object and the writes to it, by the machinery that the verbs use."""

    def __init__(self, kind: str = "ConfigMap") -> None:
        self.resource = resource(kind)
        self.kind, self.api_version = self.resource.kind, self.resource.api_version
        self.obj: dict[str, Any] | None = None
        self.now = 0

    def _writer(self, manager: str, subresource: str = "") -> Writer:
        self.now += 1
        return writer(manager, self.now, subresource, self.api_version)

    def _whole(self, text: str | dict[str, Any]) -> dict[str, Any]:
        obj = {"kind": self.kind, "apiVersion": self.api_version, **parsed(text)}
        obj.setdefault("metadata", {}).setdefault("name", "x")
        return obj

    def apply(
        self, manager: str, text: str | dict[str, Any], *, force: bool = False, subresource: str = ""
    ) -> dict[str, Any]:
        body = orjson.dumps(self._whole(text))
        config, _ = configuration(self.api_version, self.kind, body)
        config = for_path(self.resource, config, subresource)
        live = self.obj or {"kind": self.kind, "apiVersion": self.api_version, "metadata": {}}
        self._take(applied(live, config, self._writer(manager, subresource), force))
        return self.obj or {}

    def create(self, manager: str, text: str | dict[str, Any]) -> dict[str, Any]:
        obj = self._whole(text)
        track_create(obj, self._writer(manager), has_status="status" in self.resource.subresources)
        self._take(obj)
        return obj

    def update(self, manager: str, subresource: str = "", **parts: Any) -> dict[str, Any]:
        """Replace top-level parts of the object; None removes one."""
        assert self.obj is not None
        obj = orjson.loads(orjson.dumps(self.obj))
        for name, part in parts.items():
            if name == "metadata":
                obj["metadata"] |= part
            elif part is None:
                del obj[name]
            else:
                obj[name] = part
        track_update(obj, self.obj, self._writer(manager, subresource))
        self._take(obj)
        return obj

    def _take(self, obj: dict[str, Any]) -> None:
        if self.obj is not None and same_but_times(obj, self.obj):
            return
        obj["metadata"].setdefault("uid", UID)
        self.obj = obj

    @property
    def entries(self) -> list[dict[str, Any]]:
        return (self.obj or {})["metadata"].get("managedFields", [])

    def owned(self, manager: str, operation: str = "Apply", subresource: str = "") -> list[str]:
        """The paths that a manager owns, as messages write them."""
        wanted = (manager, operation, subresource)
        for entry in self.entries:
            if (entry["manager"], entry["operation"], entry.get("subresource", "")) == wanted:
                return [field_set.path_text(path) for path in field_set.paths(entry["fieldsV1"])]
        return []
