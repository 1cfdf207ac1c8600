"""CEL: the language and Kubernetes' functions, what errors say, limits, types and costs."""

import pytest

from actors.apiserver.cel import cost, declared, tree, typecheck
from actors.apiserver.cel.declared import Declared, escape, list_of, map_of
from actors.apiserver.cel.environment import dynamic
from actors.apiserver.cel.errors import CompileError, CostExceeded, EvaluationError

ENV = dynamic("self", "oldSelf")


def value(expression: str, given: object = None):
    return ENV.compile(expression).evaluate({"self": given, "oldSelf": None})


@pytest.mark.parametrize(
    "expression",
    [
        "quantity('1Gi').isGreaterThan(quantity('1000Mi'))",
        "quantity('1Gi') == quantity('1024Mi')",
        "quantity('1.5').compareTo(quantity('1500m')) == 0",
        "quantity('2').add(quantity('3')).sub(1).asInteger() == 4",
        "isQuantity('10k') && !isQuantity('10kk')",
        "ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('10.0.0.256')",
        "cidr('10.0.0.0/8').containsIP('10.9.8.7') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').prefixLength() == 8",
        "ip.isCanonical('::1') && !ip.isCanonical('0::1')",
        "url('https://example.com:80/a?b=c').getHost() == 'example.com:80' && !isURL('nothing')",
        "url('https://[::1]:80/').getHostname() == '::1'",
        "'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
        "isSemver('v1.2', true) && !isSemver('v1.2')",
        "[1, 2, 3].sum() == 6 && [3, 1].max() == 3 && [1, 2].isSorted()",
        "sets.contains([1, 2], [1]) && [2, 1].sort() == [1, 2] && [1, 1].distinct() == [1]",
        "'%s has %d'.format(['a', 3]) == 'a has 3'",
        "[1, 2, 3].exists(i, v, i == 1 && v == 2)",
        "optional.of(1).orValue(2) == 1 && {'a': 1}.?b.orValue(5) == 5",
        "[duration('1m'), duration('2m')].sum() == duration('3m') && [].sum() == 0",
        "[duration('1m'), duration('2m')].max() == duration('2m') && [duration('1m'), duration('2m')].isSorted()",
        "[timestamp('2026-01-02T00:00:00Z'), timestamp('2026-01-01T00:00:00Z')].min().getDayOfMonth() == 0",
        "string(ip('10.0.0.1')) + string(cidr('10.0.0.0/8')) == '10.0.0.110.0.0.0/8' && string(1.5) == '1.5'",
        "1 < 1.5 && 2.0 >= 2 && 1u <= 1 && 'a' < 'b' && duration('1s') < duration('2s') && dyn(1) > 0.5",
        "math.greatest(1, 2) == 2 && cel.bind(x, 3, x * x) == 9",
    ],
)
def test_true_is(expression: str):
    assert value(expression) is True


@pytest.mark.parametrize("key", ["[1]", "1.5", "null", "b'a'", "{'a': 1}"])
def test_what_may_be_no_key_is_an_error_in_a_constant_map_too(key: str):
    with pytest.raises(EvaluationError, match="unsupported key type"):
        value(f"{{{key}: 2}} == {{}}")


def test_errors_are_in_the_original_words():
    with pytest.raises(EvaluationError, match="^no such key: b$"):
        value("self.b == 1", {"a": 1})
    with pytest.raises(EvaluationError, match="division by zero"):
        value("1 / 0 == 1")
    with pytest.raises(CompileError, match=r"found no matching overload for '_\+_' applied to '\(int, string\)'"):
        value("1 + 'a'")
    with pytest.raises(CompileError, match="Syntax error"):
        value("1 +")


def test_loops_end():
    assert value("self.all(x, x >= 0)", list(range(20_000))) is True
    with pytest.raises(CostExceeded, match="operation cancelled: actual cost limit exceeded"):
        value("self.all(x, self.all(y, self.all(z, true)))", list(range(100)))


def test_a_pattern_that_would_backtrack_for_ever():
    assert value("self.matches('(a+)+$')", "a" * 5000 + "b") is False
    assert value("self.find('(a|a)*b$')", "a" * 5000) == ""


SPEC = Declared(
    declared.OBJECT,
    fields={
        "replicas": Declared(declared.INT),
        "name": Declared(declared.STRING, 64),
        "hosts": list_of(Declared(declared.STRING, 253), 64),
        "free": list_of(Declared(declared.STRING)),
        "labels": map_of(Declared(declared.STRING, 63), 10),
        "since": Declared(declared.TIMESTAMP),
        "ratio": Declared(declared.DOUBLE),
        "nested": list_of(list_of(Declared(declared.INT))),
    },
)
CHECKED = typecheck.checked({"self": SPEC})


def test_types_are_checked():
    for good in (
        "self.replicas > 1",
        "self.ratio > 0 && self.replicas < self.ratio && self.replicas < 1.5",
        "self.hosts.all(h, h.startsWith('a'))",
        "self.labels['a'] == 'b' && self.labels.all(k, k.size() < 9)",
        "self.since < timestamp('2026-01-01T00:00:00Z')",
        "self.nested[0][0] == 1",
        "has(self.name) && self.?name.orValue('') != ''",
    ):
        assert CHECKED.compile(good).result_type() == "BOOL"
    for bad, said in (
        ("self.replicants > 1", "undefined field 'replicants'"),
        ("self.ratio == 0", "found no matching overload"),
        ("self.replicas > 'a'", "found no matching overload"),
        ("self.hosts.all(h, h > 1)", "found no matching overload"),
        ("other > 1", "undeclared reference to 'other'"),
    ):
        with pytest.raises(CompileError, match=said):
            CHECKED.compile(bad)


def test_what_is_wrong_is_told_once():
    with pytest.raises(CompileError) as refused:
        CHECKED.compile("self.replicants.of.what > 1 && self.other == 2")
    assert str(refused.value).count("ERROR") == 2 and "*error*" not in str(refused.value)


def estimate(expression: str) -> int:
    return cost.estimate(CHECKED.compile(expression).serialized(), {"self": SPEC})


def test_costs_grow_with_what_is_looked_at():
    assert estimate("self.replicas > 1") < 10
    assert estimate("self.hosts.all(h, h.contains('a'))") > estimate("self.hosts.size() < 3")
    bounded = estimate("self.hosts.all(x, self.hosts.exists_one(y, x == y))")
    unbounded = estimate("self.free.all(x, self.free.exists_one(y, x == y))")
    assert bounded < 10_000_000 < unbounded
    assert estimate("self.free.all(x, x in self.free)") > 10_000_000
    assert estimate("true ? self.replicas > 1 : self.free.all(x, x == 'a')") > 1_000_000


def test_the_names_that_an_expression_uses():
    assert tree.identifiers(ENV.compile("self.a == oldSelf.a && 'oldSelf' != ''").serialized()) == {"self", "oldSelf"}
    assert "oldSelf" not in tree.identifiers(ENV.compile("self.a == 'oldSelf'").serialized())


def test_names_that_are_no_identifiers_are_escaped():
    assert [escape(name) for name in ("a.b", "a-b", "x/y", "a__b", "in", "1a", "$a", "plain")] == [
        "a__dot__b", "a__dash__b", "x__slash__y", "a__underscores__b", "__in__", "", "", "plain",
    ]  # fmt: skip
