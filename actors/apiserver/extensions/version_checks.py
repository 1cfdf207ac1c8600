"""What is wrong with the versions of a CustomResourceDefinition: their names, schemas, columns, subresources.

Neighbours: `definition` asks; `schema.structural`, `schema.default_checks` and `schema.rule_checks` look at schemas.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.extensions import columns
from actors.apiserver.extensions.jsonpath import BadPath, compile_path, field_steps
from actors.apiserver.extensions.schema import default_checks, structural
from actors.apiserver.extensions.schema.node import Node
from actors.apiserver.machinery import field

MAX_SELECTABLE_FIELDS = 8  # Kubernetes' limit: each is read out of every object that a selector looks at


def causes_of(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with spec.versions."""
    versions = spec.get("versions") or []
    if not versions:
        return [field.required("spec.versions", "must have at least one version")]
    causes = _names_causes(versions)
    storing = [version for version in versions if version.get("storage")]
    if len(storing) != 1:
        detail = "must have exactly one version marked as storage version"
        causes.append(field.invalid("spec.versions", [version.get("name") for version in versions], detail))
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") for version in versions]
    shared = all(one == schemas[0] for one in schemas)  # one schema for all is told of at the path that it once had
    for i, (version, schema) in enumerate(zip(versions, schemas, strict=True)):
        where = f"spec.versions[{i}]"
        if not schema:
            causes.append(field.required(f"{where}.schema.openAPIV3Schema", "schemas are required"))
            continue
        if not shared or i == 0:
            path = "spec.validation.openAPIV3Schema" if shared else f"{where}.schema.openAPIV3Schema"
            causes += schema_causes(schema, path)
        causes += _subresources_causes(version.get("subresources") or {}, f"{where}.subresources")
        causes += _columns_causes(version.get("additionalPrinterColumns") or [], f"{where}.additionalPrinterColumns")
        causes += _selectable_causes(version.get("selectableFields") or [], schema, f"{where}.selectableFields")
    return causes


def schema_causes(schema: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with a schema: its structure, then, when that is sound, its defaults and rules."""
    if not isinstance(schema, dict):
        return [field.invalid(path, schema, "must be a schema")]
    causes = structural.causes_of(schema, path)
    if causes:
        return causes
    node = Node(schema, root=True)
    causes = default_checks.causes_of(node, path)
    if structural.has_rules(schema):
        # The checker of rules is loaded by the first definition that has any.
        from actors.apiserver.extensions.schema import rule_checks

        causes += rule_checks.causes_of(node, path)
    return causes


def _names_causes(versions: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, version in enumerate(versions):
        name, where = version.get("name", ""), f"spec.versions[{i}].name"
        if not name:
            causes.append(field.required(where))
            continue
        causes += field.messages(where, name, names.dns_label_1035(name))
        if name in seen:
            causes.append(field.duplicate(where, name))
        seen.add(name)
        if version.get("deprecationWarning") and not version.get("deprecated"):
            detail = "can only be set for deprecated versions"
            where = f"spec.versions[{i}].deprecationWarning"
            causes.append(field.invalid(where, version["deprecationWarning"], detail))
    return causes


def _subresources_causes(subresources: dict[str, Any], where: str) -> list[Cause]:
    scale = subresources.get("scale")
    if not scale:
        return []
    causes: list[Cause] = []
    for name, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        path = scale.get(name, "")
        if not path:
            if name != "labelSelectorPath":
                causes.append(field.required(f"{where}.scale.{name}"))
            continue
        try:
            field_steps(path)
        except BadPath:
            causes.append(field.invalid(f"{where}.scale.{name}", path, "should be a simple json path"))
            continue
        if not path.startswith(roots):
            wanted = " or ".join(root[:-1] for root in roots)
            detail = f"should be a json path under {wanted}"
            causes.append(field.invalid(f"{where}.scale.{name}", path, detail))
    return causes


def _columns_causes(given: list[dict[str, Any]], where: str) -> list[Cause]:
    causes: list[Cause] = []
    for i, column in enumerate(given):
        at = f"{where}[{i}]"
        if not column.get("name"):
            causes.append(field.required(f"{at}.name"))
        causes += field.needed_one_of(f"{at}.type", column.get("type"), columns.TYPES)
        if column.get("format"):
            causes += field.one_of(f"{at}.format", column["format"], columns.FORMATS)
        path = column.get("jsonPath", "")
        if not path:
            causes.append(field.required(f"{at}.jsonPath"))
            continue
        try:
            compile_path(path)
        except BadPath as error:
            causes.append(field.invalid(f"{at}.jsonPath", path, str(error)))
    return causes


def _selectable_causes(given: list[dict[str, Any]], schema: dict[str, Any], where: str) -> list[Cause]:
    causes: list[Cause] = []
    if len(given) > MAX_SELECTABLE_FIELDS:
        causes.append(field.too_many(where, len(given), MAX_SELECTABLE_FIELDS))
    seen: set[str] = set()
    for i, selectable in enumerate(given):
        at, path = f"{where}[{i}].jsonPath", selectable.get("jsonPath", "")
        if not path:
            causes.append(field.required(at))
            continue
        try:
            steps = field_steps(path)
        except BadPath as error:
            causes.append(field.invalid(at, path, f"is an invalid path: {error}"))
            continue
        if steps[0] == "metadata":
            causes.append(field.invalid(at, path, "must not point to fields in metadata"))
        elif (wrong := _wrong_leaf(steps, schema)) is not None:
            causes.append(field.invalid(at, path, wrong))
        if path in seen:
            causes.append(field.duplicate(at, path))
        seen.add(path)
    return causes


def _wrong_leaf(steps: list[str], schema: dict[str, Any]) -> str | None:
    """Why a path does not lead to a value that one can select by."""
    for step in steps:
        inner = (schema.get("properties") or {}).get(step)
        if not isinstance(inner, dict):
            return "is an invalid path: does not refer to a valid field"
        schema = inner
    if schema.get("type") not in ("string", "boolean", "integer"):
        return "must point to a field of type string, boolean or integer"
    return None
