"""The `paths` of an OpenAPI v3 document: what may be done where, with which query parameters; and the same for v2.

Operations have Kubernetes' own ids (`readAppsV1NamespacedDeploymentScale`), of which generators make the names of a
client's methods. kubectl reads from the paths whether a kind's PATCH knows `fieldValidation` and `dryRun`; only then
does it rely on the server.
"""

from typing import Any

from actors.apiserver.machinery.resource import Resource, Subresource

_HELP = {
    "dryRun": "When present, indicates that modifications should not be persisted. Valid values are: All",
    "fieldManager": "The name of the actor or entity that is making these changes.",
    "fieldValidation": "What to do with unknown or duplicate fields. Valid values are: Ignore, Warn, Strict",
    "force": "Take fields of an applied configuration from the managers that own them. Only for an apply.",
    "pretty": "If 'true', then the output is pretty printed.",
    "labelSelector": "A selector to restrict the list of returned objects by their labels.",
    "fieldSelector": "A selector to restrict the list of returned objects by their fields.",
    "limit": "The maximum number of responses to return for a list call.",
    "continue": "The continuation token of a list that the server cut at its limit.",
    "resourceVersion": "A constraint on what resource versions a request may be served from.",
    "resourceVersionMatch": "How resourceVersion is applied to list calls.",
    "timeoutSeconds": "Timeout for the list or watch call, whatever its activity.",
    "watch": "Watch for changes and return them as a stream of notifications.",
    "allowWatchBookmarks": "Request watch events of type BOOKMARK.",
    "sendInitialEvents": "Begin a watch with the objects that are there.",
    "gracePeriodSeconds": "The duration in seconds before the object should be deleted.",
    "propagationPolicy": "Whether and how garbage collection will be performed.",
}
_INTEGERS = ("limit", "timeoutSeconds", "gracePeriodSeconds")
_BOOLEANS = ("force", "watch", "allowWatchBookmarks", "sendInitialEvents")
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETE = ("dryRun", "gracePeriodSeconds", "propagationPolicy")
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCH_MEDIA = (
    "application/json-patch+json", "application/merge-patch+json", _STRATEGIC,
    "application/apply-patch+yaml",
)  # fmt: skip
_METHODS = {  # verb of the API: (method, x-kubernetes-action, parameters)
    "create": ("post", "post", _WRITE),
    "list": ("get", "list", _LIST),
    "deletecollection": ("delete", "deletecollection", (*_DELETE, *_LIST)),
    "get": ("get", "get", ()),
    "update": ("put", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, "force")),
    "delete": ("delete", "delete", _DELETE),
}
_ANSWERS = {  # how each method may answer when all goes well
    "post": {"200": "OK", "201": "Created", "202": "Accepted"},
    "put": {"200": "OK", "201": "Created"},
    "patch": {"200": "OK", "201": "Created"},
    "delete": {"200": "OK", "202": "Accepted"},
}
_ID_VERBS = {
    "create": "create", "list": "list", "deletecollection": "delete", "get": "read", "update": "replace",
    "patch": "patch", "delete": "delete",
}  # fmt: skip
_PRODUCED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_ON_COLLECTION = ("create", "list", "deletecollection")
_ON_ITEM = ("get", "update", "patch", "delete")
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."

DELETE_OPTIONS, STATUS, PATCH = _META + "DeleteOptions", _META + "Status", _META + "Patch"


def paths_of(resource: Resource, schema_names: dict[str, str]) -> dict[str, Any]:
    """Return the path items of a resource. `schema_names` gives the component of each "apiVersion/Kind"."""
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    base = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    own, of_list = (
        schema_names.get(f"{resource.api_version}/{kind}", "") for kind in (resource.kind, resource.list_kind)
    )
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    collection, item = f"{base}/{resource.plural}", f"{base}/{resource.plural}/{{name}}"
    found: dict[str, Any] = {}

    def add(path: str, verbs: tuple[str, ...], schema: str, listed: str, kind: dict[str, str], part: str = "") -> None:
        operations = {
            _METHODS[verb][0]: {
                **_operation(verb, listed if verb == "list" else schema, kind),
                "operationId": _operation_id(resource, verb, part, "{namespace}" in path),
                "tags": [_tag(resource)],
            }
            for verb in verbs
        }
        if operations:
            if resource.custom is not None and "patch" in operations:  # kubectl takes its kind of patch from here
                del operations["patch"]["requestBody"]["content"][_STRATEGIC]
            found[path] = {**operations, "parameters": _path_parameters(path)}

    add(collection, tuple(v for v in _ON_COLLECTION if v in resource.verbs), own, of_list, gvk)
    add(item, tuple(v for v in _ON_ITEM if v in resource.verbs), own, of_list, gvk)
    if resource.namespaced and "list" in resource.verbs:
        add(f"{root}/{resource.plural}", ("list",), own, of_list, gvk)
    for part in resource.subresources.values():
        schema = schema_names.get(f"{part.group_version}/{part.kind}", "")
        add(f"{item}/{part.name}", _known(part), schema, "", _gvk_of(part), part.name)
    return found


def _operation_id(resource: Resource, verb: str, part: str, in_namespace: bool) -> str:
    group = "".join(_capital(word) for word in _words(resource.group)) or "Core"
    scope = "Namespaced" if in_namespace else ""
    many = "Collection" if verb == "deletecollection" else ""
    everywhere = "ForAllNamespaces" if resource.namespaced and not in_namespace else ""
    version = _capital(resource.version)
    return f"{_ID_VERBS[verb]}{group}{version}{many}{scope}{resource.kind}{_capital(part)}{everywhere}"


def _tag(resource: Resource) -> str:
    first, *others = _words(resource.group) or ["core"]
    return f"{first}{''.join(map(_capital, others))}_{resource.version}"


def _words(group: str) -> list[str]:
    return [word for word in group.removesuffix(".k8s.io").split(".") if word]


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def version_two(paths: dict[str, Any]) -> dict[str, Any]:
    """Return paths as a v2 document has them."""
    return {path: {key: _part_v2(key, part) for key, part in item.items()} for path, item in paths.items()}


def _part_v2(key: str, part: Any) -> Any:
    if key == "parameters":
        return [_parameter_v2(parameter) for parameter in part]
    body = part.get("requestBody")
    media = list((body or {}).get("content") or ())
    made = {name: value for name, value in part.items() if name != "requestBody"}
    made["parameters"] = [_parameter_v2(parameter) for parameter in part["parameters"]]
    if body is not None:
        schema = _schema_v2(body["content"][media[0]])
        given = {"name": "body", "in": "body", "required": bool(body.get("required")), **schema}
        made["parameters"].append(given)
    responses = part["responses"].items()
    made["responses"] = {code: _response_v2(answer) for code, answer in responses}
    consumed = media if part["x-kubernetes-action"] == "patch" else ["*/*"]
    return made | {"consumes": consumed, "produces": list(_PRODUCED), "schemes": ["https"]}


def _parameter_v2(parameter: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameter.items() if key != "schema"} | parameter["schema"]


def _response_v2(answer: dict[str, Any]) -> dict[str, Any]:
    content = (answer.get("content") or {}).get("application/json")
    return {"description": answer["description"], **(_schema_v2(content) if content else {})}


def _schema_v2(content: dict[str, Any]) -> dict[str, Any]:
    name = (content.get("schema") or {}).get("$ref", "").rpartition("/")[2]
    return {"schema": {"$ref": f"#/definitions/{name}"}} if name else {"schema": {"type": "object"}}


def _known(part: Subresource) -> tuple[str, ...]:
    return tuple(verb for verb in part.verbs if verb in _METHODS)


def _gvk_of(part: Subresource) -> dict[str, str]:
    return {"group": part.group, "version": part.version, "kind": part.kind}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "name of the object" if name == "name" else "object name and auth scope",
            "schema": {"type": "string", "uniqueItems": True},
        }
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]
    return [*parameters, _query("pretty")]


def _query(name: str) -> dict[str, Any]:
    kind = "integer" if name in _INTEGERS else "boolean" if name in _BOOLEANS else "string"
    return {
        "name": name,
        "in": "query",
        "description": _HELP[name],
        "schema": {"type": kind, "uniqueItems": True},
    }


def _reference(schema: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}} if schema else {}


def _operation(verb: str, schema: str, gvk: dict[str, str]) -> dict[str, Any]:
    method, action, parameters = _METHODS[verb]
    answer = STATUS if verb in ("delete", "deletecollection") else schema
    operation: dict[str, Any] = {
        "description": f"{verb} {gvk['kind']}",
        "parameters": [_query(name) for name in parameters],
        "responses": {
            **{
                code: {"description": text, "content": {"application/json": _reference(answer)}}
                for code, text in _ANSWERS.get(method, {"200": "OK"}).items()
            },
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk,
    }
    if verb in ("create", "update"):
        operation["requestBody"] = {"content": {"application/json": _reference(schema)}, "required": True}
    elif verb == "patch":
        operation["requestBody"] = {"content": {media: _reference(PATCH) for media in _PATCH_MEDIA}, "required": True}
    elif verb in ("delete", "deletecollection"):
        operation["requestBody"] = {"content": {"application/json": _reference(DELETE_OPTIONS)}}
    return operation
