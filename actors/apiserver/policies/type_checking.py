"""What the types of the objects that a validating policy is for say of its expressions: warnings in its status.

An expression is compiled once for each kind that the policy's rules name. Kinds behind a `*`, and subresources, are not
looked at; what a schema leaves open may be anything. A policy with warnings is evaluated all the same.

Source: Kubernetes' type checking of validating admission policies. Neighbours: `status_upkeep` writes the status;
`cel.typecheck` compiles.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from actors.apiserver.cel import declared
from actors.apiserver.cel.declared import ANYTHING, Declared
from actors.apiserver.cel.environment import Environment
from actors.apiserver.cel.errors import CompileError
from actors.apiserver.cel.typecheck import checked
from actors.apiserver.extensions.schema.declare import declare
from actors.apiserver.machinery import schema
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.schema.shapes import LeafShape, ListOf, MapOf, Shape, Struct
from actors.apiserver.policies.expressions import NAMES

MAX_KINDS = 10  # that one policy is checked with, as in Kubernetes
MAX_NESTING = 12  # structs within structs: a pod template in a job in a cron job has nine; deeper ones may be anything
_LEAVES = {
    "string": Declared(declared.STRING),
    "quantity": Declared(declared.STRING),
    "bool": Declared(declared.BOOL),
    "int32": Declared(declared.INT),
    "int64": Declared(declared.INT),
    "double": Declared(declared.DOUBLE),
}
_RESULTS = {"BOOL": declared.BOOL, "STRING": declared.STRING, "INT": declared.INT, "DOUBLE": declared.DOUBLE}

Object = dict[str, Any]


def warnings_of(policy: Object, resources: Iterable[Resource]) -> list[Object]:
    """Return the expressionWarnings of a policy's status."""
    spec = policy.get("spec") or {}
    known = list(resources)
    environments = [
        (f"{kind.api_version}, Kind={kind.kind}", _environment(kind, spec, known)) for kind in _kinds(spec, known)
    ]
    found: list[Object] = []
    for at, expression in _expressions(spec):
        said = [(name, _wrong(environment, expression)) for name, environment in environments]
        if any(wrong for _, wrong in said):
            warning = "\n".join(f"{name}: {wrong}\n" for name, wrong in said if wrong)
            found.append({"fieldRef": at, "warning": warning})
    return found


def _expressions(spec: Object) -> Iterator[tuple[str, str]]:
    for i, validation in enumerate(spec.get("validations") or ()):
        yield f"spec.validations[{i}].expression", validation["expression"]
        if validation.get("messageExpression"):
            yield f"spec.validations[{i}].messageExpression", validation["messageExpression"]


def _wrong(environment: Environment, expression: str) -> str:
    try:
        environment.compile(expression)
    except CompileError as error:
        return str(error)
    return ""


def _kinds(spec: Object, resources: list[Resource]) -> list[Resource]:
    """Return the kinds that the rules name, in the order of their names."""
    found: dict[tuple[str, str], Resource] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions, names = (rule.get(part) or () for part in ("apiGroups", "apiVersions", "resources"))
        if "*" in groups or "*" in versions:
            continue
        for one in resources:
            if one.group in groups and one.version in versions and one.plural in names and not one.is_virtual:
                found[one.api_version, one.kind] = one
    return [found[name] for name in sorted(found)][:MAX_KINDS]


def _environment(kind: Resource, spec: Object, resources: list[Resource]) -> Environment:
    """Return what expressions are compiled with for objects of a kind.

    The policy's variables have the types that they have by themselves: making an environment takes some milliseconds,
    and there may be many variables.
    """
    of_kind = _declared_kind(kind)
    types: dict[str, Declared] = {name: ANYTHING for name in NAMES}
    types |= {"object": of_kind, "oldObject": of_kind, "params": _params(spec, resources)}
    declared_variables = spec.get("variables") or ()
    if not declared_variables:
        return checked(types)
    alone = checked(types)
    fields = {one["name"]: Declared(_result_of(alone, one["expression"])) for one in declared_variables}
    return checked({**types, "variables": Declared(declared.OBJECT, fields=fields)})


def _result_of(environment: Environment, expression: str) -> str:
    try:
        result = environment.compile(expression).result_type()
    except CompileError:
        return declared.DYN
    return _RESULTS.get(result, declared.DYN)


def _params(spec: Object, resources: list[Resource]) -> Declared:
    kind = spec.get("paramKind") or {}
    asked = kind.get("apiVersion"), kind.get("kind")
    found = next((one for one in resources if (one.api_version, one.kind) == asked), None)
    return ANYTHING if found is None else _declared_kind(found)


def _declared_kind(resource: Resource) -> Declared:
    shape = schema.of_kind(resource.api_version, resource.kind)
    if isinstance(shape, Struct):
        return _declared(shape, 0)
    node = getattr(shape, "node", None)
    return ANYTHING if node is None else declare(node)


def _declared(shape: Shape, depth: int) -> Declared:
    if isinstance(shape, LeafShape):
        return _LEAVES.get(shape.leaf.name, ANYTHING)
    if isinstance(shape, ListOf):
        return declared.list_of(_declared(shape.item, depth))
    if isinstance(shape, MapOf):
        return declared.map_of(_declared(shape.value, depth))
    if not isinstance(shape, Struct) or depth >= MAX_NESTING:
        return ANYTHING
    fields = {
        declared.escape(name): _declared(field.shape, depth + 1) for name, field in shape.resolved().fields.items()
    }
    fields.pop("", None)
    return Declared(declared.OBJECT, fields=fields) if fields else ANYTHING
