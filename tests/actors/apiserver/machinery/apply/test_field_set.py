"""The algebra of field sets, against sets of paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.machinery.apply import field_set, path_elements
from actors.apiserver.machinery.apply.field_set import (
    EMPTY,
    BadFields,
    decoded,
    difference,
    intersection,
    path_text,
    paths,
    union,
)

PATHS = st.sets(st.lists(st.sampled_from(["f:a", "f:b", 'k:{"n":1}', 'v:"x"']), min_size=1, max_size=4).map(tuple))


def of_paths(wanted: set[tuple[str, ...]]) -> field_set.Fields:
    """Build a set path by path, in the most simple way."""
    found: field_set.Fields = {}
    for path in wanted:
        node = found
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return simple(found)


def simple(node: field_set.Fields) -> field_set.Fields:
    return {k: {} if v == {".": {}} or k == "." else simple(v) for k, v in node.items()}


@given(PATHS, PATHS)
def test_the_algebra_is_that_of_sets(a, b):
    one, other = of_paths(a), of_paths(b)
    assert set(paths(one)) == a
    for found, wanted in (
        (union(one, other), a | b),
        (difference(one, other), a - b),
        (intersection(one, other), a & b),
    ):
        assert set(paths(found)) == wanted
        assert found == of_paths(wanted), "there is one form of a set"
    assert of_paths(a) == one and of_paths(b) == other, "arguments stay as they are"


@given(PATHS, PATHS)
def test_what_does_not_change_is_the_same_object(a, b):
    one, both = of_paths(a), of_paths(a | b)
    assert union(both, one) is both
    disjoint = of_paths(b - a)
    assert difference(one, disjoint) is one


@given(PATHS)
def test_a_decoded_set_is_itself(a):
    assert decoded(of_paths(a)) == of_paths(a)


def test_a_client_may_write_it_in_another_form():
    given = {"f:spec": {".": {}}, "f:ports": {'k:{"protocol": "TCP", "port":80}': {}}}
    assert decoded(given) == {"f:spec": {}, "f:ports": {'k:{"port":80,"protocol":"TCP"}': {}}}
    assert decoded(None) == EMPTY


@pytest.mark.parametrize("bad", [1, [1], "f:a", {"spec": {}}, {"k:[]": {}}, {"k:{": {}}, {"i:x": {}}, {"f:a": [1]}])
def test_what_is_no_fields_v1(bad):
    with pytest.raises(BadFields):
        decoded(bad)


def test_paths_as_messages_write_them():
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert path_text(path) == '.spec[containerPort=80,protocol="TCP"].name'
    assert path_text(("f:finalizers", 'v:"a/b"')) == '.finalizers[="a/b"]'
    assert path_text(("f:list", "i:3")) == ".list[3]"


@pytest.mark.parametrize("value", ["x", 'say "hi"', "back\\slash", "tab\t", "ü", "\x7f", "", "<&>"])
def test_the_quick_way_to_a_key_is_the_slow_one(value):
    quick = path_elements.of_key({"name": value}, ("name",), {})
    assert quick == path_elements.canonical(quick)
