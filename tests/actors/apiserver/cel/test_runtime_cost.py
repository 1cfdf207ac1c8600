"""What evaluations cost: the units that Kubernetes' own tests expect, and where evaluations stop."""

import pytest

from actors.apiserver.cel.environment import Program, dynamic, typed
from actors.apiserver.cel.errors import CostExceeded, EvaluationError, OutOfBudget, OutOfTime
from actors.apiserver.cel.library.authorizing import authorizer, deciding
from actors.apiserver.cel.limits import PER_CALL, Budget

RULES = typed("self", "oldSelf")


def measured(program: Program, given: dict) -> tuple[object, int]:
    budget = Budget()
    return program.evaluate(given, budget), Budget().left - budget.left


def cost_of(expression: str, given: object) -> int:
    value, cost = measured(RULES.compile(expression), {"self": given, "oldSelf": None})
    assert value is True, expression
    return cost


def themselves(one: str, other: str, literal: str) -> str:
    return f"{one} == {other} && {one} == {literal} && {other} == {literal}"


TEXT = {"val1": "Rook takes 👑", "val2": "Rook takes 👑"}
LIST_MAP = {"listMap": [{"k": "a1", "v": "b1"}, {"k": "a2", "v": "b2"}, {"k": "a3", "v": "b3", "v2": "z"}]}
ARRAY = {"array": [1, 1, 2, 2, 3, 3, 4, 5]}
SET = {"set": [1, 2, 3, 4, 5]}
NUMBERS = {"val1": 9223372036854775807, "val2": 9223372036854775807, "val3": 2147483647, "val6": 9223372036854775807}
LISTS = {"val1": [1, 2, 3], "val2": [1, 2, 3]}
MAPS = {"val1": {"k1": "a", "k2": "b"}, "val2": {"k2": "b", "k1": "a"}}
NESTED = {"a": {"b": 1}, "a1": {"b1": {"c1": 4}}, "val": {"b": 1, "d": 2}, "objs": [{"f1": "a", "f2": "b"}] * 2}
COMPOSED = {
    "obj": {"field": "a"},
    "m": {"k": "v"},
    "l": ["a"],
    "mapOfMap": {"x": {"y": "b"}},
    "mapOfListMap": {"o": [{"k": "1", "v": "d"}]},
    "listOfListMap": [[{"k3": "3", "v3": "i"}]],
    "listOfObj": [{"field3": "h"}],
    "something": "25%",
    "known": [{"known": 1}, {"known": 2}, {}, {}],
}


@pytest.mark.parametrize(
    ("given", "expression", "cost"),
    [
        (NUMBERS, themselves("self.val1", "self.val2", "9223372036854775807"), 11),
        (NUMBERS, "self.val1 == self.val6", 5),
        (NUMBERS, "type(self.val1) == int", 4),
        (NUMBERS, "self.val3 + 1 == 2147483647 + 1", 5),
        ({"val1": 5, "val4": 10.0}, "double(self.val1) < self.val4", 6),
        ({"val1": 5, "val4": 10.0}, "self.val1 < int(self.val4)", 6),
        ({}, "double(5) < 10.0", 1),
        ({}, "5 < int(10.0)", 1),
        ({"val1": 5}, "double(self.val1) < 10.0", 4),
        (TEXT, themselves("self.val1", "self.val2", "'Rook takes 👑'"), 14),
        (TEXT, "self.val1.startsWith('Rook')", 4),
        (TEXT, "!self.val1.startsWith('knight')", 5),
        (TEXT, "self.val1.matches('^[^0-9]*$')", 8),
        (TEXT, "!self.val1.matches('^[0-9]*$')", 7),
        (TEXT, "type(self.val1) == string", 4),
        (TEXT, "size(self.val1) == 12", 4),
        (TEXT, "self.val1.charAt(3) == 'k'", 4),
        (TEXT, "self.val1.indexOf('o') == 1", 4),
        (TEXT, "self.val1.indexOf('o', 2) == 2", 4),
        (TEXT, "self.val1.replace(' ', 'x') == 'Rookxtakesx👑'", 7),
        (TEXT, "self.val1.replace(' ', 'x', 1) == 'Rookxtakes 👑'", 7),
        (TEXT, "self.val1.split(' ') == ['Rook', 'takes', '👑']", 6),
        (TEXT, "self.val1.split(' ', 2) == ['Rook', 'takes 👑']", 6),
        (TEXT, "self.val1.substring(5) == 'takes 👑'", 5),
        (TEXT, "self.val1.substring(4, 10).trim() == 'takes'", 6),
        (TEXT, "self.val1.upperAscii() == 'ROOK TAKES 👑'", 6),
        ({"val1": b"AB", "val2": b"AB"}, "self.val1 == self.val2", 5),
        ({"val1": b"AB"}, "self.val1 == b'AB' && size(self.val1) == 2", 7),
        ({"val1": "10", "val2": b"10"}, "bytes(self.val1) == self.val2", 6),
        ({"val1": "10", "val2": b"10"}, "string(self.val2) == self.val1", 6),
        ({"val1": True, "val4": False}, "self.val1 != self.val4", 5),
        ({"enumStr": "Pending"}, "self.enumStr == 'Pending'", 3),
        ({"enumStr": "Pending"}, "self.enumStr in ['Pending', 'Available']", 2),
        (LISTS, themselves("self.val1", "self.val2", "[1, 2, 3]"), 11),
        (LISTS, "1 in self.val1", 5),
        (LISTS, "self.val2[0] in self.val1", 8),
        (LISTS, "!(0 in self.val1)", 6),
        (LISTS, "self.val1 + self.val2 == [1, 2, 3, 1, 2, 3]", 6),
        (LISTS, "self.val1 + [4, 5] == [1, 2, 3, 4, 5]", 4),
        (MAPS, "self.val1 == self.val2", 5),
        (MAPS, "'k1' in self.val1", 3),
        (MAPS, "!('k3' in self.val1)", 4),
        (MAPS, "self.val1 == {'k1': 'a', 'k2': 'b'}", 3),
        (NESTED, "self.objs[0] == self.objs[1]", 7),
        (NESTED, "self.objs == [self.objs[0], self.objs[1]]", 19),
        (NESTED, "has(self.a.b)", 2),
        (NESTED, "has(self.a1.b1.c1)", 3),
        (NESTED, "!(has(self.a1.d2) && has(self.a1.d2.e2))", 3),
        (NESTED, "!has(self.a1.d2)", 3),
        (NESTED, "self.val.all(k, self.val[k] > 0)", 17),
        (NESTED, "self.val.exists_one(k, self.val[k] == 2)", 14),
        (NESTED, "!self.val.exists_one(k, self.val[k] > 0)", 17),
        (NESTED, "size(self.val) == 2", 4),
        (NESTED, "size(self.val.filter(k, self.val[k] > 1)) == 1", 26),
        (LIST_MAP, "has(self.listMap[0].v)", 3),
        (LIST_MAP, "self.listMap.all(m, m.k.startsWith('a'))", 21),
        (LIST_MAP, "self.listMap.all(m, !has(m.v2) || m.v2 == 'z')", 21),
        (LIST_MAP, "self.listMap.exists(m, m.k.endsWith('1'))", 13),
        (LIST_MAP, "self.listMap.exists_one(m, m.k == 'a3')", 15),
        (LIST_MAP, "!self.listMap.all(m, m.k.endsWith('1'))", 18),
        (LIST_MAP, "!self.listMap.exists(m, m.v == 'x')", 25),
        (LIST_MAP, "!self.listMap.exists_one(m, m.k.startsWith('a'))", 20),
        (LIST_MAP, "size(self.listMap.filter(m, m.k == 'a1')) == 1", 27),
        (LIST_MAP, "self.listMap.exists(m, m.k == 'a1' && m.v == 'b1')", 16),
        (LIST_MAP, "self.listMap.map(m, m.v).exists(v, v == 'b1')", 55),
        (LIST_MAP, "self.listMap.exists(m, has(m.v2) && m.v2 == 'z')", 21),
        (LIST_MAP, "!self.listMap.all(m, has(m.v2) && m.v2 != 'z')", 10),
        (LIST_MAP, "self.listMap.exists_one(m, has(m.v2) && m.v2 == 'z')", 12),
        (LIST_MAP, "self.listMap.filter(m, has(m.v2) && m.v2 == 'z').size() == 1", 24),
        (LIST_MAP, "self.listMap.map(m, has(m.v2) && m.v2 == 'z', m.v2).size() == 1", 25),
        (LIST_MAP, "self.listMap.filter(m, has(m.v2) && m.v2 == 'z').map(m, m.v2).size() == 1", 39),
        (LIST_MAP, "self.listMap.exists(m, m.v2 == 'z')", 24),
        (LIST_MAP, "!self.listMap.all(m, m.v2 != 'z')", 22),
        (ARRAY, "2 in self.array", 10),
        (ARRAY, "self.array.all(e, e > 0)", 43),
        (ARRAY, "self.array.exists(e, e > 2)", 36),
        (ARRAY, "self.array.exists_one(e, e > 4)", 22),
        (ARRAY, "!self.array.all(e, e < 2)", 21),
        (ARRAY, "!self.array.exists(e, e < 0)", 52),
        (ARRAY, "!self.array.exists_one(e, e == 2)", 25),
        (ARRAY, "size(self.array.filter(e, e%2 == 0)) == 3", 68),
        (ARRAY, "self.array.map(e, e * 20).filter(e, e > 50).exists(e, e == 60)", 194),
        (SET, "self.set.map(e, e * 20).filter(e, e > 50).exists_one(e, e == 60)", 133),
        (SET, "size(self.set.filter(e, e%2 == 0)) == 2", 46),
        (COMPOSED, "type(self) == type(self)", 5),
        (COMPOSED, "self.mapOfMap['x']['y'] == 'b'", 5),
        (COMPOSED, "self.mapOfListMap['o'].exists(e, e.k == '1' && e.v == 'd')", 14),
        (COMPOSED, "self.listOfListMap[0].exists(e, e.k3 == '3' && e.v3 == 'i')", 14),
        (COMPOSED, "self.listOfObj[0].field3 == 'h'", 5),
        (COMPOSED, "self.known[2] == self.known[3]", 6),
        (COMPOSED, "type(self.something) == int ? self.something == 1 : self.something == '25%'", 7),
        (COMPOSED, "self.something == 1 || self.something == '25%'", 6),
        (COMPOSED, "self.something != ['anything']", 3),
        (COMPOSED, "type(self.something) == string && self.something.matches(r'(\\d+(\\.\\d+)?%)')", 10),
        (COMPOSED, "optional.of('a') != optional.of('b')", 3),
        (COMPOSED, "optional.of('a') != optional.none()", 3),
        (COMPOSED, "optional.of('a').or(optional.of('a')).hasValue()", 2),
        (COMPOSED, "optional.none().or(optional.of('a')).hasValue()", 3),
        (COMPOSED, "optional.of('a').optMap(v, v == 'value').hasValue()", 8),
        (COMPOSED, "self.obj.?field == optional.of('a')", 5),
        (COMPOSED, "self.obj.?absentField == optional.none()", 4),
        (COMPOSED, "self.obj.?field.orValue('v') == 'a'", 4),
        (COMPOSED, "self.m[?'k'] == optional.of('v')", 5),
        (COMPOSED, "self.l[?0] == optional.of('a')", 5),
        (COMPOSED, "optional.ofNonZeroValue(1).hasValue()", 2),
        ({"min": "50%", "current": 5, "available": 10},
         "type(self.min) == int ? self.current <= self.min : double(self.current) / double(self.available) >= "
         "double(self.min.replace('%', '')) / 100.0", 17),
        ({}, "ip('192.168.0.1').family() == 4", 4),
        ({}, "cidr('192.168.0.0/16').containsIP(ip('192.168.0.1'))", 5),
        ({}, "cidr('192.168.0.0/16').containsCIDR('192.168.0.0/16')", 7),
        ({}, "ip.isCanonical('192.168.0.1')", 3),
        ({}, "quantity('50k').add(20).sub(quantity('100k')).asInteger() < 0", 6),
        ({}, "quantity('200M') == quantity('0.2G') && quantity('0.2G') == quantity('200M')", 6),
        ({}, "semver('1.0.0').isLessThan(semver('1.1.0'))", 3),
        ({}, "!format.named('dns1123Subdomain').value().validate('my-name').hasValue()", 19),
        ({"l": [1, 2, 3, 4]}, "sets.contains(self.l, [2, 3])", 11),
        ({"l": [1, 2, 3]}, "sets.equivalent(self.l, [3, 2, 1])", 21),
        ({"l": ["aa", "bb", "cc", "d", "e", "f", "g", "h", "i", "j"]}, "self.l.join(' ') != ''", 7),
        ({"s": "ABCDEFGHIJ abcdefghij"}, "self.s.lowerAscii() != self.s.upperAscii()", 13),
    ],
)  # fmt: skip
def test_units(given: object, expression: str, cost: int):
    assert cost_of(expression, given) == cost


def test_asking_the_authorizer_is_dear():
    program = dynamic("authorizer").compile(
        "authorizer.group('apps').resource('deployments').check('create').allowed()"
    )
    with deciding(lambda question: (True, "")):
        assert measured(program, {"authorizer": authorizer()}) == (True, 350_004)
    selected = dynamic("authorizer").compile(
        "authorizer.group('').resource('pods')"
        ".fieldSelector('spec.nodeName=example-node-name.fully.qualified.domain.name.example.com').check('get').allowed()"
    )
    with deciding(lambda question: (True, "")):
        assert measured(selected, {"authorizer": authorizer()}) == (True, 1821 + 350_001)


def test_what_has_no_type_is_charged_as_one_step():
    program = dynamic("object").compile("object.a + object.a != 'x' && 'y' in object.l")
    given = {"object": {"a": "0123456789" * 10, "l": ["y"] * 50}}
    assert measured(program, given) == (True, 6 + 3)
    assert cost_of("self.a + self.a != 'x' && 'y' in self.l", given["object"]) == 4 + 20 + 1 + 2 + 50


def test_one_expression_ends_at_its_limit():
    square = "self.all(x, self.all(y, x >= 0))"
    turns = 100
    assert cost_of(square, list(range(turns))) < PER_CALL
    with pytest.raises(CostExceeded, match="^operation cancelled: actual cost limit exceeded$"):
        cost_of(square, list(range(1_000)))


def test_expressions_share_a_budget():
    program = RULES.compile("self.all(x, x > 0)")
    given = {"self": [1] * 18, "oldSelf": None}
    cost = measured(program, given)[1]
    budget = Budget(cost * 2)
    program.evaluate(given, budget)
    program.evaluate(given, budget)
    assert budget.left == 0
    with pytest.raises(OutOfBudget, match="running out of cost budget"):
        program.evaluate(given, budget)


def test_what_fails_is_paid_for_too():
    budget = Budget(1_000)
    with pytest.raises(EvaluationError, match="no such key: a"):
        RULES.compile("self.l.all(x, x.a > 0)").evaluate({"self": {"l": [{}] * 10}}, budget)
    assert budget.left == 1_000 - 3 - 10 * 6


def test_what_costs_little_and_takes_long_ends_by_the_clock():
    with pytest.raises(OutOfTime):
        RULES.compile("self.all(x, x >= 0)").evaluate({"self": list(range(1_000))}, Budget(seconds=-1.0))
