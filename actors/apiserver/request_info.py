"""What a request is about: the path and the query taken apart in Kubernetes' terms.

    /api/v1/namespaces/NS/pods/NAME/SUBRESOURCE
    /apis/GROUP/VERSION/RESOURCE/NAME
    /apis/GROUP/VERSION/watch/...                  the old form of ?watch=1

Everything else is a non-resource path. `namespaces` is both a scope and a resource: /api/v1/namespaces/NS[/status] is
the Namespace itself and lies in the namespace NS for the purpose of authorization, as in Kubernetes.

Neighbours: `handler` parses every call; `auth` decides on the result; `verbs` act on it.
"""

from functools import lru_cache
from urllib.parse import parse_qsl, unquote

VERB_OF_METHOD = {
    "GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete",
}  # fmt: skip
NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
KNOWN = 1024  # request lines remembered: most requests are for what was asked for before
LONGEST_KNOWN = 512  # characters of one; a longer one is read anew each time
MAX_QUERY_FIELDS = 2_000  # of a request: each word of a command that is run in a pod is one


class RequestInfo:
    """A parsed path. `is_resource` False: only `path` and `verb` (HTTP's method in lower case) mean anything."""

    __slots__ = (
        "group", "is_resource", "name", "namespace", "path", "query", "resource", "series", "subresource", "tail",
        "verb", "version",
    )  # fmt: skip

    def __init__(self, path: str, verb: str, query: dict[str, str], is_resource: bool = False) -> None:
        self.path = path
        self.verb = verb
        self.query = query
        self.is_resource = is_resource
        self.series: tuple[str, ...] = ()  # what it is counted under, once it was; a memo of `metrics`
        self.group = self.version = self.resource = self.subresource = self.namespace = self.name = self.tail = ""

    @property
    def group_resource(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


def parse_query(query: str) -> dict[str, str]:
    """Return the first value of each field; ValueError on far too many."""
    if not query:
        return {}
    found: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS):
        found.setdefault(key, value)
    return found


def is_true(value: str | None) -> bool:
    """Read a boolean query field as Kubernetes does: given without a value, or any but a false one, is true."""
    return value is not None and value != "0" and value.lower() != "false"


def parse(method: str, raw_path: str, query: str) -> RequestInfo:
    """Take a request line apart; nobody may change what comes out. ValueError when the query is beyond its limits."""
    if len(raw_path) + len(query) > LONGEST_KNOWN:
        return _parse(method, raw_path, query)
    return _parsed_before(method, raw_path, query)


def _parse(method: str, raw_path: str, query: str) -> RequestInfo:
    path = unquote(raw_path) if "%" in raw_path else raw_path
    fields = parse_query(query)
    parts = path.strip("/").split("/")
    prefix = 2 if parts[0] == "api" else 3 if parts[0] == "apis" else 0
    verb = VERB_OF_METHOD.get(method, method.lower())
    if not prefix or len(parts) <= prefix or "" in parts[: _meant(parts, prefix)]:
        return RequestInfo(path, method.lower(), fields)
    info = RequestInfo(path, verb, fields, is_resource=True)
    if prefix == 2:
        info.version = parts[1]
    else:
        info.group, info.version = parts[1], parts[2]
    _place(info, parts[prefix:])
    _refine_verb(info)
    return info


_parsed_before = lru_cache(maxsize=KNOWN)(_parse)


def _meant(parts: list[str], prefix: int) -> int:
    """How many segments are Kubernetes' own: what follows /proxy is a path of somebody else's server."""
    subresource = prefix + (4 if parts[prefix] == "namespaces" else 2)
    return subresource + 1 if parts[subresource : subresource + 1] == ["proxy"] else len(parts)


def _place(info: RequestInfo, rest: list[str]) -> None:
    """Fill scope, resource, name and subresource from what follows the version."""
    if rest[0] == "watch" and len(rest) > 1:
        rest = rest[1:]
        info.query = {**info.query, "watch": "true"}
    if rest[0] == "namespaces" and len(rest) > 1:
        info.namespace = rest[1]
        if len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    info.resource = rest[0]
    if len(rest) > 1:
        info.name = rest[1]
    if len(rest) > 2:
        info.subresource = rest[2]
        info.tail = "/".join(rest[3:])


def _refine_verb(info: RequestInfo) -> None:
    """Tell list and watch from get, deletecollection from delete."""
    if info.verb == "get" and not info.subresource:
        if is_true(info.query.get("watch")):
            info.verb = "watch"
            if info.name:  # the old watch of one object is a watch with a selector on its name
                info.query = {**info.query, "fieldSelector": f"metadata.name={info.name}"}
        elif not info.name:
            info.verb = "list"
    elif info.verb == "delete" and not info.name:
        info.verb = "deletecollection"
