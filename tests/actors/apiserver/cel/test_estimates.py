"""What evaluations may cost: the units that Kubernetes' own tests expect of expressions, and of rules on schemas."""

import pytest

from actors.apiserver.cel import cost, typecheck
from actors.apiserver.cel.declared import Declared
from actors.apiserver.extensions.schema.declare import declare
from actors.apiserver.extensions.schema.node import Node

PLAIN = typecheck.checked({"authorizer": Declared("opaque", name="kubernetes.Authorizer")})


@pytest.mark.parametrize(
    ("expression", "least", "most"),
    [
        ("[1, 2, 3, 4, 5].sum()", 15, 15),
        ("[uint(1), uint(2), uint(3), uint(4), uint(5)].sum()", 20, 20),
        ("['012345678901', '012345678901'].isSorted()", 12, None),
        ("'01234567890123456789012345678901234567890123456789'.startsWith('123')", 1, 1),
        ("url('https://kubernetes.io/').getHost()", 4, 4),
        ("ip('192.168.0.1')", 2, 2),
        ("ip('2001:db8:3333:4444:5555:6666:7777:8888').isLoopback()", 5, 5),
        ("ip('192.168.0.1') == ip('192.168.0.1')", 5, 5),
        ("ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", 8, 8),
        ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", 7, 11),
        ("cidr('192.168.0.0/16').containsIP(ip('192.169.0.1'))", 5, 8),
        ("cidr('2001:db8::/32').containsIP('2001:db8::1')", 5, 8),
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii()", 3, 3),
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 7, 9),
        ("'abc 123 def 123'.replace('123', '456')", 3, 3),
        ("'abc 123 def 123'.split(' ', 1)", 3, 3),
        ("'abc 123 def 123'.substring(5, 8)", 2, 2),
        ("'abc 123 def 123'.find('123')", 2, 2),
        ("jsonpatch.escapeKey('abc/def~ abc/def~')", 2, 2),
        ("authorizer.group('apps').resource('deployments').subresource('status').namespace('test').name('x')", 6, 6),
        ("authorizer.group('').resource('pods').labelSelector("
         "'spec.nodeName=example-node-name.fully.qualified.domain.name.example.com')", 1821, 1821),
        ("authorizer.path('/healthz').check('get').allowed()", 350003, 350003),
        ("quantity('200M') == quantity('0.2G') && quantity('0.2G') == quantity('200M')", 3, 6),
        ("quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger() > 0", 7, 7),
        ("format.named('dns1123Subdomain').value().validate('my-name')", 34, 34),
        ("format.dns1123Label() == format.dns1123Label()", 3, 9),
        ("sets.contains([1, 2, 3, 4], [2, 3])", 29, 29),
        ("sets.equivalent([1, 2, 3], [3u, 2.0, 1])", 39, 39),
        ("!sets.intersects([1], [1.1, 2u])", 24, 24),
        ("semver('1234.56789012345.67890123456789')", 4, 4),
        ("semver('1.0.0').compareTo(semver('1.2.3'))", 3, 3),
        ("{'a': 1, 'b': 2}.all(k, v, v > 0)", 37, 41),
        ("{'a': 1, 'b': 2}.exists(k, v, v > 0)", 39, 43),
        ("{'a': 1, 'b': 2}.existsOne(k, v, v > 0)", 38, 40),
        ("[1, 2].all(i, v, v > 0)", 17, 21),
        ("[1, 2].transformList(i, v, v + 1)", 49, 49),
        ("[1, 2].transformList(i, v, v < 5, v + 1)", 27, 53),
    ],
)  # fmt: skip
def test_of_expressions(expression: str, least: int, most: int | None):
    found = cost.bounds(PLAIN.compile(expression).serialized(), {})
    assert found.least == least
    assert most is None or found.most == most


STRINGS = {"type": "array", "items": {"type": "string"}}


def kind(name: str) -> dict:
    if name in ("duration", "date", "date-time", "byte"):
        return {"type": "string", "format": name}
    return {"x-kubernetes-int-or-string": True} if name == "int-or-string" else {"type": name}


def array(of: str | dict, most: int | None = None) -> dict:
    items = kind(of) if isinstance(of, str) else of
    return {"type": "array", "items": items} | ({} if most is None else {"maxItems": most})


def mapping(of: str | dict, most: int | None = None) -> dict:
    values = kind(of) if isinstance(of, str) else of
    return {"type": "object", "additionalProperties": values} | ({} if most is None else {"maxProperties": most})


def text(most: int | None = None, **more: object) -> dict:
    return {"type": "string"} | ({} if most is None else {"maxLength": most}) | more


def of_rule(schema: dict, rule: str) -> int:
    own = declare(Node(schema))
    sizes = {"self": own, "oldSelf": own}
    return cost.estimate(typecheck.checked(sizes).compile(rule).serialized(), sizes)


@pytest.mark.parametrize(
    ("schema", "rule", "units"),
    [
        (array("number"), "self.all(x, true)", 4718591),
        (array("number", 10), "self.all(x, true)", 32),
        (array("string"), "self.all(x, true)", 3145727),
        (array("boolean"), "self.all(x, true)", 1887437),
        (array(array("number")), "self.all(x, true)", 3145727),
        (array("date"), "self.all(x, true)", 725936),
        (array("date-time"), "self.all(x, true)", 428963),
        (array("duration"), "self.all(x, true)", 2359295),
        (array("int-or-string"), "self.all(x, true)", 4718591),
        (mapping("number"), "self.all(x, true)", 1348169),
        (mapping("string"), "self.all(x, true)", 1179647),
        (mapping("boolean"), "self.all(x, true)", 943718),
        (mapping("duration"), "self.all(x, true)", 1048577),
        (mapping("date"), "self.all(x, true)", 524288),
        (mapping("date-time"), "self.all(x, true)", 349526),
        (mapping(mapping("number")), "self.all(x, true)", 1179647),
        (mapping("string", 3), "self.all(x, true)", 11),
        (text(), "self.contains('test')", 314574),
        (text(10), "self.contains('test')", 5),
        (text(), "self.startsWith('test')", 2),
        (text(30), "self.endsWith('test')", 2),
        (text(), "size(self + \"hello\") > size(\"hello\")", 314578),
        (text(4), "size(self + \"hello\") > size(\"hello\")", 7),
        (array("number"), "self[1] == 0.0", 2),
        (array("string", 8), "self[1] == self[1]", 314577),
        (array("number", 10), "self.all(x, self.all(y, true))", 352),
        (array("number", 10), "self.all(x, self.all(y, self.all(z, true)))", 3552),
        (text(), "self.matches('x')", 314574),
        (text(50), "self.matches('x')", 22),
        (text(), "''.matches('(((((((((())))))))))[0-9]')", 7),
        (mapping(text(10), 10), "self.all(x, x.contains(self[x]))", 72),
        (mapping("number", 0), "self['x'] == 0.0", 2),
        (text(), "self == 'x'", 2),
        (text(0), "self == 'x'", 1),
        (array("number", 3 * 1024 * 2048), "self.all(x, x == 0.0)", 25165826),
        (array("int-or-string"), "self[0] == 5", 3),
        (array("boolean", 25), "self[0] == false", 2),
        (array(array("number")), "self[0][0] == -1.0", 3),
        (array(mapping("number")), "self.all(x, x.y == 25.2)", 6291452),
        (array(mapping("number"), 12), "self.all(x, x.y == 25.2)", 74),
        (array(mapping("number"), 3000), "self[0].x > 2.0", 4),
        (array("duration", 525), "self[0].getHours() == 2", 4),
        (text(), "self.find('[0-9]+') == ''", 629147),
        (text(10), "self.find('[0-9]+') == ''", 11),
        (array(text()), "self.join(' ') == 'aa bb'", 329853068905),
        (array(text(10), 10), "self.join(' ') == 'aa bb'", 43),
        (array(text()), "self.isSorted() == true", 329854432052),
        (array(text(10), 10), "self.isSorted() == true", 52),
        (text(), "self.lowerAscii() == 'lower!'", 314575),
        (text(10), "self.lowerAscii() == 'lower!'", 6),
        (mapping("integer"), "oldSelf.size() == self.size()", 5),
        (mapping("date-time"), "self['a'] == self['b']", 8),
        (mapping("duration", 42), "self['c'] == self['d']", 8),
        (text(enum=["A", "B", "C", "LongValue"]), "self.contains('A')", 2),
        (text(1000, enum=["A", "B", "C", "LongValue"]), "self.contains('A')", 401),
    ],
)  # fmt: skip
def test_of_rules(schema: dict, rule: str, units: int):
    assert of_rule(schema, rule) == units
