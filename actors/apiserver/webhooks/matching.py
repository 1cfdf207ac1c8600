"""Whether a webhook or a policy that is for a kind of write is for this one: selectors of namespaces and of objects.

A namespace selector looks at the labels of the object's namespace, or of the object when that is a Namespace; other
cluster-scoped objects always match. An object selector matches when the object, or what it was before, does.

Neighbours: `configuration` and `policies` compile `Selectors`; `dispatch` asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actors.api.selectors import EVERYTHING, Selector, from_label_selector
from actors.apiserver.admission.attributes import Admission

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Selectors:
    namespaces: Selector = EVERYTHING
    objects: Selector = EVERYTHING

    def match(self, asked: Admission, obj: Object | None, old: Object | None) -> bool:
        if not self.namespaces.is_empty and not self._is_in_namespace(asked, obj, old):
            return False
        if self.objects.is_empty:
            return True
        return any(one is not None and self.objects.matches(_labels(one)) for one in (obj, old))

    def _is_in_namespace(self, asked: Admission, obj: Object | None, old: Object | None) -> bool:
        if asked.resource.group_resource == "namespaces":
            about = obj if obj is not None and not asked.subresource else old
            labels = _labels(about) if about is not None else asked.namespace_labels()
            return self.namespaces.matches(labels)
        if not asked.namespace or not asked.resource.namespaced:
            return True
        return self.namespaces.matches(asked.namespace_labels())


def compile_selectors(part: Mapping[str, Any]) -> Selectors:
    """Return what `namespaceSelector` and `objectSelector` select; a missing one selects everything."""
    namespaces, objects = part.get("namespaceSelector"), part.get("objectSelector")
    return Selectors(
        from_label_selector(namespaces) if namespaces is not None else EVERYTHING,
        from_label_selector(objects) if objects is not None else EVERYTHING,
    )


def _labels(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}
