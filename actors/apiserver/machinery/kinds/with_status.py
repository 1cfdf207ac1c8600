"""The strategy of kinds with a spec and a status: who may write which half, and when the generation rises."""

from typing import Any

from actors.apiserver.machinery.resource import Strategy


class WithStatus(Strategy):
    """The status is the status subresource's; the rest is the main resource's.

    `tracks_generation`  a changed spec raises metadata.generation
    `metadata_with_status`  metadata that a status write may change too
    `counts`  numbers that a status always has
    """

    tracks_generation = True
    metadata_with_status: tuple[str, ...] = ("annotations", "managedFields")
    counts: tuple[str, ...] = ()

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return dict.fromkeys(self.counts, 0)

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["status"] = self.initial_status(obj)
        if self.tracks_generation:
            obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        _take(obj, old, "status")
        if self.tracks_generation and self.generation_parts(obj) != self.generation_parts(old):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def generation_parts(self, obj: dict[str, Any]) -> Any:
        """Return what raises the generation when it changes."""
        return obj.get("spec")

    def prepare_for_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        metadata, status = obj["metadata"], obj.get("status")
        kept = dict(old["metadata"])
        for name in ("resourceVersion", "uid", "name", "namespace", *self.metadata_with_status):
            if name in metadata:
                kept[name] = metadata[name]
            elif name in self.metadata_with_status:
                kept.pop(name, None)
        obj.clear()
        obj.update(old)
        obj["metadata"] = kept
        obj["status"] = {**dict.fromkeys(self.counts, 0), **(status or {})}


def _take(obj: dict[str, Any], old: dict[str, Any], name: str) -> None:
    if name in old:
        obj[name] = old[name]
    else:
        obj.pop(name, None)
