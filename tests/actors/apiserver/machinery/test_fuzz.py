# ruff: noqa: E501 - a table reads best with one case a line
"""Whatever is sent, the answer is an object or an ApiError, and a stored object can be read back."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.api.errors import ApiError
from actors.apiserver.machinery import schema
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, apply_patch
from actors.apiserver.machinery.prepare import prepare_for_create, prepare_for_update
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import COMPUTED
from actors.apiserver.machinery.schema.shapes import LeafShape, ListOf, MapOf, Shape, Struct
from actors.apiserver.machinery.stored import encode_stored, stamp
from actors.apiserver.machinery.table import to_table
from actors.apiserver.machinery.validation import validate
from tests.actors.apiserver.machinery.objects import MINIMAL, NOW, UID, created

KINDS = sorted((r for r in REGISTRY if r.verbs != COMPUTED), key=lambda r: (r.group, r.kind))
LEAVES = {
    "string": st.sampled_from(
        ["", "x", "X y", "a/b", "a=b", "-", "None", "ClusterIP", "ExternalName", "1", "è", "a" * 300]
    ),
    "bool": st.booleans(),
    "int32": st.sampled_from([0, 1, -1, 80, 65536, 2**31 - 1]),
    "int64": st.sampled_from([0, 1, -1, 2**62]),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "intstr": st.sampled_from([0, 1, "25%", "x", ""]),
    "bytes": st.sampled_from(["", "djE=", "e3s="]),
    "quantity": st.sampled_from(["0", "1", "-1", "1Gi", "0.5", 1]),
    "time": st.sampled_from(["2026-05-01T12:00:00Z", "2026-05-01T12:00:00+01:00"]),
    "microtime": st.sampled_from(["2026-05-01T12:00:00.000001Z"]),
    "any": st.sampled_from([{}, {"a": [1]}, None]),
}
MAX_LEVELS = 7


def values(shape: Shape, level: int = 0) -> st.SearchStrategy:
    """Return a strategy of values that are of a shape, with some fields missing."""
    if isinstance(shape, LeafShape):
        return LEAVES[shape.leaf.name]
    if level > MAX_LEVELS:
        return st.none()
    if isinstance(shape, ListOf):
        return st.lists(st.deferred(lambda: values(shape.item, level + 1)), max_size=2)
    if isinstance(shape, MapOf):
        return st.dictionaries(st.sampled_from(["a", "b/c", "x y", ""]), values(shape.value, level + 1), max_size=2)
    assert isinstance(shape, Struct)
    fields = shape.resolved().fields
    names = st.lists(st.sampled_from(sorted(fields)), max_size=6, unique=True) if fields else st.just([])
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: values(fields[name].shape, level + 1) for name in chosen})
    )


@st.composite
def bodies(draw):
    resource = draw(st.sampled_from(KINDS))
    shape = schema.of_kind(resource.api_version, resource.kind)
    obj = draw(values(shape))
    obj.pop("kind", None), obj.pop("apiVersion", None)
    obj["metadata"] = {"name": "x", **({"namespace": "default"} if resource.namespaced else {})}
    return resource, obj


@settings(max_examples=400, deadline=None)
@given(bodies())
def test_creating(sent):
    resource, obj = sent
    try:
        made, _ = decode(resource, orjson.dumps(obj), "application/json", "Strict")
        prepare_for_create(resource, made, UID, NOW)
        validate(resource, made)
    except ApiError as error:
        assert error.code in (400, 422), error.message
        return
    stored = orjson.loads(stamp(encode_stored(made), 7))
    again, warnings = decode(resource, orjson.dumps(stored), "application/json", "Strict")
    assert (again, warnings) == (stored, []), "what is stored is in stored form"
    to_table(resource, [stored], 0.0)
    prepare_for_update(resource, again, stored)
    validate(resource, again, stored)
    to_table(resource, [{**stored, "status": obj.get("status") or {}}], 0.0)


texts = st.sampled_from(
    ["a", "spec", "metadata", "containers", "name", "data", "$patch", "delete", "replace", "", "labels"]
)
data = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("$setElementOrder/containers"), inner, max_size=4)
    ),
    max_leaves=12,
)
operations = st.lists(
    st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), data)
    | st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": st.sampled_from(["", "/", "/spec", "/spec/containers/0", "/spec/containers/-", "/data/k", "/metadata/name/x", "x", "/~2"]),
            "from": st.sampled_from(["", "/spec", "/data/k", "/nope"]),
            "value": data,
        }
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(MINIMAL)),
    st.tuples(st.just(JSON_PATCH), operations) | st.tuples(st.sampled_from([MERGE_PATCH, STRATEGIC_PATCH]), data),
)
def test_patching(kind, patch):
    media, document = patch
    current = created(kind)
    before = orjson.dumps(current)
    resource = next(r for r in REGISTRY if r.kind == kind)
    try:
        apply_patch(resource, current, orjson.dumps(document), media, "Warn")
    except ApiError as error:
        assert error.code in (400, 413, 422), error.message
    assert orjson.dumps(current) == before
