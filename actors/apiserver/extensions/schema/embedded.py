"""Objects within custom objects (x-kubernetes-embedded-resource): they have a kind, a version and metadata in order.

Neighbours: `node` validates and prunes what is around them.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.extensions.schema.checks import wrong_type
from actors.apiserver.machinery import field, schema
from actors.apiserver.machinery.metadata import annotation_causes, finalizer_causes, label_causes, owner_causes
from actors.apiserver.machinery.schema.shapes import Report, Struct, Unfit

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def metadata_shape() -> Struct:
    return schema.SCHEMAS.of_definition(OBJECT_META).resolved()


def prune_metadata(value: dict[str, Any], prefix: str, unknown: list[str]) -> None:
    """Bring an embedded object's metadata into form. A mistyped one stays: validation says what is wrong with it."""
    report = Report()
    try:
        value["metadata"] = metadata_shape().conform_at(value["metadata"], prefix + "metadata", "ObjectMeta", report)
    except Unfit:
        return
    unknown += report.unknown


def validate_embedded(value: dict[str, Any], prefix: str, causes: list[Cause]) -> None:
    """Add what is wrong with an embedded object besides what its schema says."""
    for name, check in (("apiVersion", _version_messages), ("kind", _kind_messages)):
        given = value.get(name)
        if given is not None and type(given) is not str:
            causes.append(wrong_type(given, "string", prefix + name))
        elif not given:
            causes.append(field.required(prefix + name, "must not be empty"))
        else:
            causes += field.messages(prefix + name, given, check(given))
    metadata = value.get("metadata") or {}
    try:
        metadata_shape().conform_at(metadata, "metadata", "ObjectMeta", Report())
    except Unfit as error:
        causes.append(field.invalid(prefix + "metadata", value["metadata"], str(error)))
        return
    causes += _metadata_causes(metadata, f"{prefix}metadata")


def _version_messages(text: str) -> list[str]:
    return [] if text.count("/") <= 1 else [f"unexpected GroupVersion string: {text}"]


def _kind_messages(kind: str) -> list[str]:
    wrong = names.dns_label_1035(kind.lower())
    return [f"may have mixed case, but should otherwise match: {','.join(wrong)}"] if wrong else []


def _metadata_causes(metadata: dict[str, Any], at: str) -> list[Cause]:
    name, namespace = metadata.get("name") or "", metadata.get("namespace") or ""
    causes = field.messages(f"{at}.name", name, names.path_segment(name)) if name else []
    if namespace:
        causes += field.messages(f"{at}.namespace", namespace, names.dns_label(namespace))
    causes += label_causes(metadata.get("labels"), f"{at}.labels")
    causes += annotation_causes(metadata.get("annotations"), f"{at}.annotations")
    causes += owner_causes(metadata.get("ownerReferences"), f"{at}.ownerReferences")
    return causes + finalizer_causes(metadata.get("finalizers"), f"{at}.finalizers")
