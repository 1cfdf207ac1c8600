"""CustomResourceDefinitions for the conformance tests: made in a line, established, and gone afterwards."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster import eventually
from tests.conformance.access import Object
from tests.conformance.pods import Space

DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "conformance.example.com"
ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

_numbers = itertools.count(1)


def version(name: str = "v1", schema: Object | None = None, storage: bool = True, **more: Any) -> Object:
    schemas = {"openAPIV3Schema": schema or ANYTHING}
    return {"name": name, "served": True, "storage": storage, "schema": schemas, **more}


def definition(
    *versions: Object, kind: str = "", group: str = GROUP, labels: Object | None = None, **spec: Any
) -> Object:
    """Return a definition of a kind that nobody else has, unless one is named."""
    kind = kind or f"Thing{next(_numbers)}"
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "labels": labels or {}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": list(versions) or [version()],
            **spec,
        },
    }


class Custom:
    """An established definition: what it is called, and objects of it."""

    def __init__(self, made: Object):
        spec = made["spec"]
        self.name, self.group = made["metadata"]["name"], spec["group"]
        self.kind, self.plural = spec["names"]["kind"], spec["names"]["plural"]

    def resource(self, of_version: str = "v1") -> str:
        return f"{self.group}/{of_version}/{self.plural}"

    def object(self, name: str, of_version: str = "v1", labels: Object | None = None, **fields: Any) -> Object:
        metadata = {"name": name, "labels": labels or {}}
        return {"apiVersion": f"{self.group}/{of_version}", "kind": self.kind, "metadata": metadata, **fields}


def is_established(found: Object) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)


@contextmanager
def established(whole: Space, made: Object) -> Iterator[Custom]:
    custom = Custom(made)
    whole.create(DEFINITIONS, made)
    try:
        eventually(lambda: is_established(whole.get(DEFINITIONS, custom.name)), f"{custom.name} is established", 10)
        yield custom
    finally:
        whole.delete(DEFINITIONS, custom.name)
        eventually(lambda: not whole.has(DEFINITIONS, custom.name), f"{custom.name} is gone", 15)
