"""Methods that are written as calls before they are compiled: `indexOf` of lists, and the format library."""

import pytest

from actors.apiserver.cel.cost import estimate
from actors.apiserver.cel.declared import Declared
from actors.apiserver.cel.environment import dynamic
from actors.apiserver.cel.errors import CelError
from actors.apiserver.cel.methods import rewritten
from actors.apiserver.cel.typecheck import checked

ENVIRONMENT = dynamic("o")
OBJECT = {"items": ["x", "y"], "name": "a_b", "other": {"validate": 3}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[1, 2, 3].indexOf(2)", 1),
        ("[1, 2, 1].lastIndexOf(1)", 2),
        ("[1, 2].indexOf(true)", -1),
        ("[[1], [2]].indexOf([2])", 1),
        ("'abcb'.indexOf('b')", 1),
        ("'abcb'.indexOf('b', 2)", 3),
        ("'abcb'.lastIndexOf('b', 2)", 1),
        ("o.items.indexOf('y') + o['items'].indexOf('x')", 1),
        ("(o.items + ['z']).indexOf('z')", 2),
        ("o.?items.orValue([]).indexOf('x')", 0),
        ("o.items.map(i, i.indexOf('x'))", [0, -1]),
        ("'abc'.indexOf(['b'][['q', 'r'].indexOf('r') - 1])", 1),
        ("o.items[0].indexOf('x') in [0]", True),
        ("'a.indexOf(b)' // .indexOf(c)", "a.indexOf(b)"),
        ("o.other.validate", 3),
        ("format.dns1123Label().validate('ab').hasValue()", False),
        ("!format.dns1123Label().validate(o.name).hasValue()", False),
        ("format.uuid().validate('x').value()", ["does not match the UUID format"]),
        ("format.named('uuid').value().validate('x').hasValue()", True),
        ("format.named('nope').hasValue()", False),
        ("format.named('byte').orValue(format.uri()).validate('!').value()", ["invalid base64"]),
        ("o.items.all(i, !format.labelValue().validate(i).hasValue())", True),
        ("format.date().validate('2026-02-30').value()", ["invalid date"]),
        ("format.datetime().validate('2026-02-03T04:05:06Z').hasValue()", False),
        ("format.uri().validate('https://example.com/a').hasValue()", False),
        ("format.qualifiedName().validate('example.com/a').orValue([])", []),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v + 1)", {"a": 2, "b": 3}),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, [k, [v]])", {"b": ["b", [2]]}),
        ("o.items.transformMap(i, v, {v: 'x'}.transformMap(a, b, a + b))", {0: {"x": "xx"}, 1: {"y": "yx"}}),
        ("{'a': 'x'}.transformMapEntry(k, v, {v: k})", {"x": "a"}),
        ("{'a': 'x'}.transformMapEntry(k, v, v != 'x', {v: k})", {}),
        ("format.dns1035LabelPrefix().validate('web-').hasValue()", False),
    ],
)
def test_values(expression, value):
    assert ENVIRONMENT.compile(expression).evaluate({"o": OBJECT}) == value


@pytest.mark.parametrize(
    "expression",
    [
        "o.items.indexOf('x', 1)",
        "3.indexOf(1)",
        "'a'.indexOf(1)",
        "o.indexOf('x'",
        "{'a': 1, 'b': 1}.transformMapEntry(k, v, {v: k})",
        "{'a': 1}.transformMap(k)",
    ],
)
def test_what_has_no_value(expression):
    with pytest.raises(CelError):
        ENVIRONMENT.compile(expression).evaluate({"o": OBJECT})


@pytest.mark.parametrize("text", ["o.items", "'.indexOf('", "indexOf(x)", ".indexOf(", "x.named(y)", "- .validate(x)"])
def test_texts_that_are_none_of_it_come_back(text):
    assert rewritten(text) == text


def test_what_is_never_closed_comes_to_an_end():
    assert len(rewritten("a.indexOf(" * 400)) < 40_000


def test_a_declared_type_is_checked():
    environment = checked({"self": Declared("string", 100)})
    program = environment.compile("!format.dns1123Label().validate(self).hasValue()")
    assert program.result_type() == "BOOL"
    assert 10 < estimate(program.serialized(), {"self": Declared("string", 100)}) < 1000
    with pytest.raises(CelError):
        environment.compile("format.dns1123Label().validate(3)")
