"""Everything that an API's clients do with the objects of one resource, once through.

Neighbours: `pods.Space` is where the objects live; the tests of each area say which resources these are.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.cluster import eventually
from tests.conformance.access import JSON_PATCH, Object
from tests.conformance.pods import Space
from tests.conformance.watching import watching

VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}


@dataclass(frozen=True)
class Life:
    """A resource ("GROUP/VERSION/PLURAL"), its kind, what an object has besides metadata, and its subresources."""

    resource: str
    kind: str
    fields: Object
    namespaced: bool = False
    subresources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # where the name means something; otherwise any
    metadata: Object = field(default_factory=dict)

    @property
    def api_version(self) -> str:
        return self.resource.rpartition("/")[0] or "v1"

    @property
    def plural(self) -> str:
        return self.resource.rpartition("/")[2]

    def made(self, name: str, label: str) -> Object:
        metadata = {"name": name, "labels": {"of": label}, **self.metadata}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, **self.fields}


def holds(found: Any, wanted: Any) -> bool:
    """Tell whether an object has what was asked for; defaults may have come to it, and a controller's conditions."""
    if isinstance(wanted, dict):
        return all(
            key in found and (_has_conditions if key == "conditions" else holds)(found[key], value)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return found == wanted


def _has_conditions(found: list[Object], wanted: list[Object]) -> bool:
    return all(any(holds(one, condition) for one in found) for condition in wanted)


def is_discovered(life: Life, space: Space) -> None:
    """Assert that the group, its version, the resource and its subresources are in the discovery documents."""
    group, _, version = life.api_version.rpartition("/")
    groups = {item["name"]: item for item in space.api.json("GET", "/apis")["groups"]}
    for found in (groups[group], space.api.json("GET", f"/apis/{group}")):
        assert {"groupVersion": life.api_version, "version": version} in found["versions"]
    served = {item["name"]: item for item in space.api.json("GET", f"/apis/{life.api_version}")["resources"]}
    assert served[life.plural]["kind"] == life.kind
    assert set(served[life.plural]["verbs"]) >= VERBS
    assert set(served) >= {f"{life.plural}/{sub}" for sub in life.subresources}


def goes_through(life: Life, space: Space, label: str) -> None:
    """Assert that an object can be created, read, listed, watched, patched, updated, deleted, alone and with others."""
    names = life.names or tuple(f"{label}-{number}" for number in (1, 2, 3))
    one, selector = names[0], f"of={label}"
    before = space.api.json("GET", space.path(life.resource))["metadata"]["resourceVersion"]
    assert holds(space.create(life.resource, life.made(one, label)), life.fields)
    assert holds(space.get(life.resource, one), life.fields)
    for name in names[1:]:
        space.create(life.resource, life.made(name, label))
    assert {item["metadata"]["name"] for item in space.list(life.resource, selector)} == set(names)
    everywhere = Space(space.api, "")
    assert {item["metadata"]["name"] for item in everywhere.list(life.resource, selector)} == set(names)
    changed = space.patch(life.resource, one, {"metadata": {"annotations": {"patched": "yes"}}})
    assert changed["metadata"]["annotations"] == {"patched": "yes"}
    path = "/metadata/annotations/json"
    space.patch(life.resource, one, [{"op": "add", "path": path, "value": "yes"}], kind=JSON_PATCH)
    space.modify(life.resource, one, lambda found: found["metadata"]["annotations"].update(updated="yes"))
    annotations = space.get(life.resource, one)["metadata"]["annotations"]
    assert annotations == {"patched": "yes", "json": "yes", "updated": "yes"}
    space.delete(life.resource, one)
    eventually(lambda: not space.has(life.resource, one), f"{one} is gone", 10)
    assert {item["metadata"]["name"] for item in space.list(life.resource, selector)} == set(names[1:])
    space.delete_all(life.resource, selector)
    eventually(lambda: space.list(life.resource, selector) == [], "the collection is gone", 10)
    with watching(space.api, space.path(life.resource), resourceVersion=before, labelSelector=selector) as watch:
        watch.until("ADDED", one)
        assert watch.until("MODIFIED", one)["metadata"]["annotations"]["patched"] == "yes"
        watch.until("DELETED", one)
        watch.until("DELETED", names[-1])


def status_of_one(life: Life, space: Space, label: str, patch: Object, update: Object) -> None:
    """Assert that the status can be read, patched and updated by its subresource, and by nothing else."""
    name = life.names[0] if life.names else f"{label}-status"
    space.create(life.resource, life.made(name, label))
    assert space.get(life.resource, name, "status")["metadata"]["name"] == name
    assert holds(space.patch(life.resource, name, {"status": patch}, sub="status")["status"], patch)
    changed = space.modify(life.resource, name, lambda found: found.update(status=update), "status")
    assert holds(changed["status"], update)
    kept = space.patch(life.resource, name, {"status": patch, "metadata": {"annotations": {"a": "b"}}})
    assert holds(kept["status"], update)
    space.delete_all(life.resource, f"of={label}")
    eventually(lambda: space.list(life.resource, f"of={label}") == [], "it is gone", 10)
