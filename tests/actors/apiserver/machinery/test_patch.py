"""PATCH by media type, and what comes back of a patch that does not fit."""

import time

import orjson
import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery import patch as patches
from actors.apiserver.machinery import schema, strategic
from actors.apiserver.machinery.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, apply_patch, merge_patch
from tests.actors.apiserver.machinery.objects import created, loaded, resource


def patched(kind: str, current: dict, patch: object, media: str) -> dict:
    before = loaded(current)
    obj, _ = apply_patch(resource(kind), current, orjson.dumps(patch), media, "Strict")
    assert current == before, "the current object is not changed"
    return obj


def refusal(current: dict, patch: object, media: str = JSON_PATCH) -> ApiError:
    body = patch if isinstance(patch, bytes) else orjson.dumps(patch)
    with pytest.raises(ApiError) as caught:
        apply_patch(resource(current["kind"]), current, body, media, "Strict")
    return caught.value


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the examples of RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_in_the_rfc(target, patch, result):
    assert merge_patch(target, patch) == result


def test_the_three_kinds_of_patch_on_one_deployment():
    current = created("Deployment")
    container = {"name": "side", "image": "redis"}
    spec = {"template": {"spec": {"containers": [container]}}}
    strategic = patched("Deployment", current, {"spec": spec}, STRATEGIC_PATCH)
    assert [c["name"] for c in strategic["spec"]["template"]["spec"]["containers"]] == ["side", "c"]
    merge = patched("Deployment", current, {"spec": spec}, MERGE_PATCH)
    assert [c["name"] for c in merge["spec"]["template"]["spec"]["containers"]] == ["side"]
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": "/metadata/labels", "value": {"a/b": "c"}},
        {"op": "add", "path": "/spec/template/spec/containers/-", "value": container},
        {"op": "remove", "path": "/spec/template/spec/containers/0"},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
    ]
    by_operations = patched("Deployment", current, operations, JSON_PATCH)
    assert by_operations["spec"]["replicas"] == 3
    assert by_operations["metadata"]["labels"] == {"a/b": "c", "x/y": "z"}
    assert [c["name"] for c in by_operations["spec"]["template"]["spec"]["containers"]] == ["side"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "test", "path": "/data/k", "value": "other"}, 422),
        ({"op": "remove", "path": "/data/missing"}, 422),
        ({"op": "replace", "path": "/nope/deep", "value": 1}, 422),
        ({"op": "add", "path": "/data/k/deep", "value": 1}, 422),
        ({"op": "copy", "from": "/data/missing", "path": "/data/k"}, 422),
        ({"op": "explode", "path": "/data/k"}, 400),
        ({"op": "add", "path": "/data/k"}, 400),
        ({"path": "/data/k"}, 400),
        ({"op": "add", "value": 1}, 400),
        ({"op": "add", "path": 3, "value": 1}, 400),
        ({"op": "remove", "path": "data"}, 422),
    ],
)
def test_json_patches_that_do_not_fit(operation, code):
    error = refusal(created("ConfigMap"), [operation])
    assert error.code == code, error.message
    assert error.reason == {422: "Invalid", 400: "BadRequest"}[code]


@pytest.mark.parametrize("patch", [b"{", b"{}", b'["x"]', b"3"])
def test_what_is_no_json_patch(patch):
    assert refusal(created("ConfigMap"), patch).code == 400


@pytest.mark.parametrize("media", [MERGE_PATCH, STRATEGIC_PATCH])
def test_a_merge_patch_is_an_object(media):
    assert refusal(created("ConfigMap"), [], media).code == 400


def test_too_many_operations():
    operations = [{"op": "add", "path": "/data/x", "value": "y"}] * (patches.MAX_JSON_PATCH_OPERATIONS + 1)
    assert refusal(created("ConfigMap"), operations).code == 413


def test_copies_of_copies_end():
    operations = [{"op": "add", "path": "/data/a", "value": {"x": "y" * 1000}}]
    operations += [{"op": "copy", "from": "/data", "path": f"/data/c{i}"} for i in range(40)]
    assert refusal(created("ConfigMap"), operations).code == 413


def test_the_outcome_is_checked_like_a_body():
    current = created("Deployment")
    unknown = refusal(current, {"spec": {"foo": 1}}, MERGE_PATCH)
    assert (unknown.code, 'strict decoding error: unknown field "spec.foo"' in unknown.message) == (400, True)
    assert refusal(current, {"spec": {"replicas": "x"}}, STRATEGIC_PATCH).code == 400
    assert refusal(current, {"kind": "Pod"}, MERGE_PATCH).code == 400
    assert refusal(current, [{"op": "replace", "path": "", "value": []}], JSON_PATCH).code == 400


def test_unknown_fields_warn():
    obj, warnings = apply_patch(resource("ConfigMap"), created("ConfigMap"), b'{"foo":1}', MERGE_PATCH, "Warn")
    assert warnings == ['unknown field "foo"']
    assert "foo" not in obj


@pytest.mark.parametrize("media", ["application/apply-patch+yaml", "text/plain", ""])
def test_media_types_that_are_not_supported(media):
    assert refusal(created("ConfigMap"), {}, media).code == 415


class TestSize:
    """A client chooses how long its lists are: merging and checking them stays linear."""

    LENGTH = 30_000
    LIMIT_S = 5.0  # a quadratic merge of this many items would take minutes

    def timed(self, original: dict, patch: dict) -> dict:
        start = time.thread_time()  # not the clock's: others may be using the machine
        merged = strategic.merge(original, patch, schema.of_kind("v1", "Pod"))
        assert time.thread_time() - start < self.LIMIT_S
        return merged

    def test_lists_of_objects(self):
        names = [f"c{i}" for i in range(self.LENGTH)]
        original = {"spec": {"containers": [{"name": name} for name in names]}}
        changes = [{"name": name, "image": "i"} for name in reversed(names)]
        order = [{"name": name} for name in reversed(names)]
        patch = {"spec": {"containers": changes, "$setElementOrder/containers": order}}
        merged = self.timed(original, patch)
        assert [c["name"] for c in merged["spec"]["containers"]] == names[::-1]

    def test_lists_of_values(self):
        values = [f"a/{i}" for i in range(self.LENGTH)]
        patch = {"metadata": {"finalizers": values[::-1], "$deleteFromPrimitiveList/finalizers": values[::2]}}
        merged = self.timed({"metadata": {"finalizers": values}}, patch)
        assert len(merged["metadata"]["finalizers"]) == self.LENGTH // 2
