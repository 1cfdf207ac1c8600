"""Types, comparison, merge and removal: what each kind of list and map means."""

import pytest

from actors.apiserver.machinery.apply.field_set import EMPTY, path_text, paths
from actors.apiserver.machinery.apply.kinds import KINDS, of_structural
from actors.apiserver.machinery.apply.types import DEDUCED, Granular, Items
from actors.apiserver.machinery.apply.values import BadConfiguration, check, fields_of, merge, remove
from tests.actors.apiserver.machinery.apply.appliers import STRUCTURAL, WIDGETS

SPEC = WIDGETS.fields["spec"]


def spec(**parts):
    return {"spec": parts}


def texts(fields) -> list[str]:
    return [path_text(path) for path in paths(fields or EMPTY)]


def taken(old, new) -> list[str]:
    return texts(WIDGETS.compare(old, new)[0])


def removed(old, new) -> list[str]:
    return texts(WIDGETS.compare(old, new)[1])


def test_built_in_types_are_those_of_the_schemas():
    pod = KINDS.of("v1", "Pod").fields
    containers = pod["spec"].fields["containers"]
    assert isinstance(containers, Items) and containers.keys == ("name",)
    assert containers.item.fields["ports"].keys == ("containerPort", "protocol")
    assert containers.item.fields["ports"].defaults == {"protocol": "TCP"}
    assert containers.item.fields["command"] is None, "an atomic list is a leaf"
    assert pod["spec"].fields["nodeSelector"] is None, "an atomic map is a leaf"
    assert isinstance(pod["metadata"].fields["labels"], Granular)
    assert pod["metadata"].fields["finalizers"].keys == (), "a set"
    assert KINDS.of("apps/v1", "Deployment").fields["spec"].fields["selector"] is None, "an atomic struct is a leaf"


def test_a_kind_of_which_nothing_is_known_is_deduced():
    of = KINDS.of("example.com/v1", "Never")
    assert texts(of.compare({}, {"spec": {"a": {"b": 1}, "l": [1]}})[0]) == [".spec", ".spec.a", ".spec.a.b", ".spec.l"]


def test_a_schema_that_contains_itself():
    definition = KINDS.of("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    version = definition.fields["spec"].fields["versions"]
    assert version is None, "the versions are atomic"
    assert of_structural({"type": "string"}) is DEDUCED


def test_structural_schemas():
    assert SPEC.fields["whole"] is None and SPEC.fields["plain"] is None
    assert SPEC.fields["ports"].keys == ("port", "protocol") and SPEC.fields["ports"].defaults == {"protocol": "TCP"}
    assert SPEC.fields["tags"].keys == ()
    assert SPEC.fields["free"].other is DEDUCED and not SPEC.is_open
    assert of_structural(STRUCTURAL).fields.keys() == {"spec"}


@pytest.mark.parametrize(
    ("old", "new", "took", "lost"),
    [
        (spec(size=1), spec(size=2), [".spec.size"], []),
        (spec(size=1), spec(), [], [".spec.size"]),
        (spec(), spec(labels={"a": "b"}), [".spec.labels", ".spec.labels.a"], []),
        (spec(labels={"a": "b"}), spec(labels={"a": "c", "d": "e"}), [".spec.labels.a", ".spec.labels.d"], []),
        (spec(labels={"a": "b"}), spec(labels={}), [], [".spec.labels.a"]),
        (spec(whole={"a": "b"}), spec(whole={"a": "c"}), [".spec.whole"], []),
        (spec(plain=["a"]), spec(plain=["a", "b"]), [".spec.plain"], []),
        (spec(tags=["a", "b"]), spec(tags=["b", "c"]), ['.spec.tags[="c"]'], ['.spec.tags[="a"]']),
        (spec(tags=["a", "b"]), spec(tags=["b", "a"]), [], []),
        (spec(free={"x": {"y": 1}}), spec(free={"x": {"y": 2}}), [".spec.free.x.y"], []),
        (
            spec(ports=[{"port": 80, "name": "a"}]),
            spec(ports=[{"port": 80, "protocol": "TCP", "name": "b"}]),
            ['.spec.ports[port=80,protocol="TCP"].name', '.spec.ports[port=80,protocol="TCP"].protocol'],
            [],
        ),
        (spec(ports=[]), spec(ports=[{"port": 80}]), [
            '.spec.ports[port=80,protocol="TCP"]', '.spec.ports[port=80,protocol="TCP"].port'], []),
        (spec(free={"x": {"y": 1}}), spec(free={"x": 1}), [".spec.free.x"], [".spec.free.x.y"]),
        (spec(tags=["a"]), spec(tags=["a", "a"]), ['.spec.tags[="a"]'], ['.spec.tags[="a"]']),
        (spec(labels=None), spec(labels={"a": "b"}), [".spec.labels", ".spec.labels.a"], []),
    ],
)  # fmt: skip
def test_what_a_change_takes_and_removes(old, new, took, lost):
    assert (taken(old, new), removed(old, new)) == (took, lost)


def test_nobody_owns_what_the_server_owns():
    old = {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"name": "a", "generation": 1}}
    new = {**old, "metadata": {"name": "b", "uid": "u", "resourceVersion": "2", "labels": {"a": "b"}}}
    assert taken(old, new) == [".metadata.labels", ".metadata.labels.a"]
    assert removed(old, new) == []
    assert texts(fields_of(WIDGETS, new)) == [".metadata.labels.a"]


def test_the_fields_of_a_configuration():
    config = spec(size=None, free={}, labels={"a": "b"}, tags=["x"], ports=[{"port": 1, "tags": ["t"]}])
    assert texts(fields_of(WIDGETS, config)) == [
        ".spec.free",
        ".spec.labels.a",
        '.spec.ports[port=1,protocol="TCP"]',
        '.spec.ports[port=1,protocol="TCP"].port',
        '.spec.ports[port=1,protocol="TCP"].tags[="t"]',
        ".spec.size",
        '.spec.tags[="x"]',
    ]


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        (spec(size=1, tags=["a"]), spec(size=2), spec(size=2, tags=["a"])),
        (spec(tags=["a", "b"]), spec(tags=["c", "a"]), spec(tags=["c", "a", "b"])),
        (spec(tags=["a", "b", "c"]), spec(tags=["c", "a"]), spec(tags=["b", "c", "a"])),
        (spec(tags=["x", "a", "y", "b", "z"]), spec(tags=["a", "n", "b"]), spec(tags=["x", "a", "y", "n", "b", "z"])),
        (spec(plain=["a", "b"]), spec(plain=["c"]), spec(plain=["c"])),
        (spec(whole={"a": "b"}), spec(whole={"c": "d"}), spec(whole={"c": "d"})),
        (spec(labels={"a": "b"}), spec(labels={"c": "d"}), spec(labels={"a": "b", "c": "d"})),
        (
            spec(ports=[{"port": 80, "name": "a", "tags": ["t"]}, {"port": 81, "protocol": "UDP"}]),
            spec(ports=[{"port": 81, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "name": "b"}]),
            spec(
                ports=[
                    {"port": 81, "protocol": "TCP"},
                    {"port": 80, "protocol": "TCP", "name": "b", "tags": ["t"]},
                    {"port": 81, "protocol": "UDP"},
                ]
            ),
        ),
        (spec(tags=["a", "a", "b"]), spec(tags=["a"]), spec(tags=["a", "b"])),
        ({}, spec(size=1), spec(size=1)),
    ],
)
def test_merging(live, config, merged):
    assert merge(WIDGETS, live, config) == merged


def test_removing():
    value = spec(size=1, labels={"a": "b"}, tags=["x", "y"], ports=[{"port": 1, "name": "n"}])
    gone = fields_of(WIDGETS, spec(labels={"a": "b"}, tags=["x"]))
    assert remove(WIDGETS, value, gone) == spec(size=1, tags=["y"], ports=[{"port": 1, "name": "n"}])
    name = {"f:spec": {"f:ports": {'k:{"port":1,"protocol":"TCP"}': {"f:name": {}}}}}
    assert remove(WIDGETS, value, name)["spec"]["ports"] == [{"port": 1}]
    assert remove(WIDGETS, spec(size=1), {"f:spec": {"f:size": {}}}) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (spec(tags=["a", "a"]), '.spec.tags: duplicate entries for key [="a"]'),
        (
            spec(ports=[{"port": 1}, {"port": 1, "protocol": "TCP"}]),
            '.spec.ports: duplicate entries for key [port=1,protocol="TCP"]',
        ),
        (
            spec(ports=[{"port": 1, "tags": [1, 1]}]),
            '.spec.ports[port=1,protocol="TCP"].tags: duplicate entries for key [=1]',
        ),
    ],
)
def test_lists_that_cannot_be_merged(config, message):
    with pytest.raises(BadConfiguration) as refused:
        check(WIDGETS, config)
    assert str(refused.value) == message


def test_an_item_without_its_keys():
    with pytest.raises(BadConfiguration, match="element 0: associative list with keys has an element that omits all"):
        check(KINDS.of("v1", "Pod"), {"spec": {"containers": [{"image": "nginx"}]}})
