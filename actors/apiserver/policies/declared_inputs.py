"""What expressions of policies and match conditions may name, with the types that are known before there is a write.

An object is of whatever kind is written, so it may be anything; a request, a namespace and a policy's variables have
the fields that they have. So a misspelt one is found when the policy is written.

Importing this loads the expression language. Source: Kubernetes' admission/plugin/cel. Neighbours: `expressions`
evaluates, without types; `type_checking` looks at policies with the types of objects besides.
"""

from functools import lru_cache

from actors.apiserver.cel import declared, typecheck
from actors.apiserver.cel.declared import ANY_STRING, ANYTHING, Declared, list_of, map_of
from actors.apiserver.cel.environment import Environment, Program
from actors.apiserver.policies.literals import rewritten
from actors.apiserver.webhooks.variables import NAMES

_BOOL, _INT, _MOMENT = Declared(declared.BOOL), Declared(declared.INT), Declared(declared.TIMESTAMP)


def _of(**fields: Declared) -> Declared:
    return Declared(declared.OBJECT, fields=fields)


def _texts(*names: str) -> Declared:
    return _of(**dict.fromkeys(names, ANY_STRING))


_KIND, _RESOURCE = _texts("group", "version", "kind"), _texts("group", "version", "resource")
REQUEST = _of(
    kind=_KIND,
    resource=_RESOURCE,
    subResource=ANY_STRING,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=ANY_STRING,
    name=ANY_STRING,
    namespace=ANY_STRING,
    operation=ANY_STRING,
    userInfo=_of(username=ANY_STRING, uid=ANY_STRING, groups=list_of(ANY_STRING), extra=map_of(list_of(ANY_STRING))),
    dryRun=_BOOL,
    options=ANYTHING,
)
NAMESPACE = _of(
    metadata=_of(
        name=ANY_STRING,
        generateName=ANY_STRING,
        namespace=ANY_STRING,
        labels=map_of(ANY_STRING),
        annotations=map_of(ANY_STRING),
        uid=ANY_STRING,
        creationTimestamp=_MOMENT,
        deletionGracePeriodSeconds=_INT,
        deletionTimestamp=_MOMENT,
        generation=_INT,
        resourceVersion=ANY_STRING,
        finalizers=list_of(ANY_STRING),
    ),
    spec=_of(finalizers=list_of(ANY_STRING)),
    status=_of(phase=ANY_STRING),
)


def compile_declared(expression: str, more_names: tuple[str, ...], variables: tuple[str, ...]) -> Program:
    """Return a program for checking. `variables` are those of the policy. Raises CompileError."""
    return _environment(more_names, variables).compile(rewritten(expression))


@lru_cache(maxsize=16)  # half a megabyte each
def _environment(more_names: tuple[str, ...], variables: tuple[str, ...]) -> Environment:
    types = {name: ANYTHING for name in (*NAMES, *more_names)}
    types["request"] = REQUEST
    if "namespaceObject" in types:
        types["namespaceObject"] = NAMESPACE
    if "variables" in types:
        types["variables"] = _of(**dict.fromkeys(variables, ANYTHING))
    return typecheck.checked(types)
