"""Structural schemas on values: valid, pruned, defaulted, tolerated; and that fast is as good as careful."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.api.errors import Cause
from actors.apiserver.extensions.schema.node import UNSET, Node

PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name", "protocol"],
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "protocol": {"type": "string", "default": "TCP"},
            "port": {"x-kubernetes-int-or-string": True},
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 4},
        "mode": {"type": "string", "enum": ["a", "b"]},
        "count": {"type": "integer", "minimum": 1, "multipleOf": 2},
        "ratio": {"type": "number", "exclusiveMaximum": True, "maximum": 1},
        "when": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}, "maxItems": 3},
        "ports": PORTS,
        "labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 2},
        "maybe": {"type": "string", "nullable": True},
        "size": {"type": "integer", "default": 3},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                 "properties": {"known": {"type": "object"}}},
        "either": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
                   "oneOf": [{"required": ["x"]}, {"required": ["y"]}], "not": {"required": ["z"]}},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    },
}  # fmt: skip
NODE = Node(SCHEMA)


def causes(value: dict[str, Any], old: Any = UNSET) -> dict[str, str]:
    found: list[Cause] = []
    NODE.validate(value, "", found, old)
    return {cause.field: cause.message for cause in found}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("name", "a", "name in body should be at least 2 chars long"),
        ("name", "abcde", "Too long"),
        ("name", 3, 'must be of type string: "integer"'),
        ("mode", "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ("count", 0, "should be greater than or equal to 1"),
        ("count", 3, "should be a multiple of 2"),
        ("count", True, 'must be of type integer: "boolean"'),
        ("ratio", 1, "should be less than 1"),
        ("when", "yesterday", "must be of type date-time"),
        ("tags", ["a", "b", "c", "d"], "Too many: 4: must have at most 3 items"),
        ("labels", {"a": "1", "b": "2", "c": "3"}, "Too many: 3"),
        ("maybe", 1, 'must be of type string: "integer"'),
        ("either", {}, "must validate one and only one schema (oneOf). Found none valid"),
        ("either", {"x": "1", "y": "2"}, "Found 2 valid alternatives"),
        ("either", {"x": "1", "z": "2"}, "must not validate the schema (not)"),
        ("pod", {"kind": "Pod"}, ""),
    ],
)
def test_what_is_wrong(name: str, value: Any, said: str):
    found = causes({name: value})
    assert said in found.get(name, "") or name == "pod"
    assert found
    assert not NODE.fits({name: value, "size": 1})


def test_where_it_is_wrong():
    ports = [{"name": "a"}, {"name": "a", "protocol": "TCP"}, {"port": 1.5}]
    assert causes({"ports": ports, "tags": ["x", "x"], "pod": {"kind": "Pod"}}) == {
        "ports[1]": 'Duplicate value: {"name":"a","protocol":"TCP"}',
        "ports[2].name": "Required value",
        "ports[2].port": 'Invalid value: "number": ports[2].port in body must be of type integer,string: "number"',
        "tags[1]": 'Duplicate value: "x"',
        "pod.apiVersion": "Required value: must not be empty",
    }


def test_good_values_fit():
    good = {
        "name": "abc", "mode": "a", "count": 4, "ratio": 0.5, "when": "2026-01-01T00:00:00Z", "tags": ["x", "y"],
        "ports": [{"name": "a", "protocol": "UDP", "port": 1}, {"name": "a", "protocol": "TCP", "port": "http"}],
        "labels": {"a": "b"}, "maybe": None, "size": 1, "free": {"any": [1, {"deep": None}], "known": {}},
        "either": {"x": "1"},
    }  # fmt: skip
    assert causes(good) == {}
    assert NODE.fits(good)


def test_pruning():
    value = {
        "odd": 1,
        "free": {"odd": 1, "known": {"odd": 1}},
        "ports": [{"name": "a", "odd": 1}],
        "labels": {"odd": "1"},
    }
    unknown: list[str] = []
    NODE.prune(value, "", unknown)
    assert unknown == ["odd", "free.known.odd", "ports[0].odd"]
    assert value == {"free": {"odd": 1, "known": {}}, "ports": [{"name": "a"}], "labels": {"odd": "1"}}


def test_defaults_and_nulls():
    value: dict[str, Any] = {"size": None, "name": None, "maybe": None, "ports": [{"name": "a"}], "labels": {"a": None}}
    NODE.default(value)
    assert value == {"size": 3, "maybe": None, "ports": [{"name": "a", "protocol": "TCP"}], "labels": {}}


def test_what_has_not_changed_is_tolerated():
    old = {"name": "much too long", "ports": [{"name": "a", "port": 1.5}, {"name": "b"}], "tags": ["x", "x"]}
    new = {**copy.deepcopy(old), "mode": "a"}
    assert causes(new, old) == {}
    new["ports"] = [{"name": "b", "port": 2.5}, {"name": "a", "port": 1.5}]
    assert list(causes(new, old)) == ["ports[0].port"]
    assert list(causes({"count": True}, {"count": 1})) == ["count"]


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-2, 2)
    | st.sampled_from(["", "a", "ab", "abcdef", "TCP"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*SCHEMA["properties"], "x", "protocol", "port", "kind"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "odd"]), json, max_size=5))
def test_what_fits_needs_no_care(value: dict[str, Any]):
    """Whatever the quick half lets pass, the careful one would neither change nor refuse; and mending is idempotent."""
    before = copy.deepcopy(value)
    if NODE.fits(value):
        assert causes(value) == {}
        unknown: list[str] = []
        NODE.prune(value, "", unknown)
        NODE.default(value)
        assert (value, unknown) == (before, [])
        return
    NODE.prune(value, "", [])
    NODE.default(value)
    again = copy.deepcopy(value)
    NODE.prune(again, "", [])
    NODE.default(again)
    assert again == value


@pytest.mark.parametrize(
    ("changed", "where", "said"),
    [
        ({"apiVersion": "a/b/c"}, "pod.apiVersion", "unexpected GroupVersion string: a/b/c"),
        ({"kind": "P_d"}, "pod.kind", "may have mixed case, but should otherwise match"),
        ({"kind": 1}, "pod.kind", 'must be of type string: "integer"'),
        ({"metadata": {"name": "a/b"}}, "pod.metadata.name", "may not contain '/'"),
        ({"metadata": {"labels": {"a b": "c"}}}, "pod.metadata.labels", "name part must consist of"),
        ({"metadata": {"annotations": {"a b": "c"}}}, "pod.metadata.annotations", "name part must consist of"),
        ({"metadata": {"namespace": "A"}}, "pod.metadata.namespace", "RFC 1123"),
        ({"metadata": {"labels": 1}}, "pod.metadata", "Invalid value"),
    ],
)
def test_an_object_within(changed: dict, where: str, said: str):
    good = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "A_b", "labels": {"a": "b"}}}
    assert causes({"pod": good}) == {}
    assert said in causes({"pod": good | changed})[where]
