# ruff: noqa: E501 - a table reads best with one case a line
"""CustomResourceDefinitions as a fuzzer makes them: schemas, rules and paths, most of them nearly right."""

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.values_of import anything

NAMES = ["a", "b", "spec", "c-d", "$ref", "è", "metadata", "x" * 70]
PATTERNS = ["^a+$", "(a+)+$", "[", "(?=x)", "\\d{1,1000}", "", "a" * 500, "(?i)x", "^\\p{L}$"]
RULES = [
    "self.a == 1", "self.a > oldSelf.a", "self.all(x, x > 0)", "self.a.b.c", "true", "false", "1", "self", "size(self.a) < 3",
    "self.a.matches('(a+)+$')", "self.exists(k, self[k] == k)", "has(self.a) && has(self.b)", "self.a / self.b > 0",
    "[1,2,3].map(x, [1,2,3].map(y, [1,2,3].map(z, x*y*z))).size() > 0", "(", "self.a[", "'\\ud800' == self.a", "self == oldSelf",
    "oldSelf.orValue('x') == self", "duration(self.a) < duration('1h')", "quantity(self.a).isLessThan(quantity('1Gi'))",
    "ip(self.a).family() == 4", "url(self.a).getHost() == 'x'", "self.a.split(',').size() < 100000", "dyn(self).a == 1",
    "isSorted(self.a)", "self.a.find('[0-9]+') == '1'", "optional.of(self.a).hasValue()", "int(self.a) == 9223372036854775807",
    "9223372036854775808 > 0", "self.a + 9223372036854775807 > 0", "timestamp(self.a).getFullYear() > 2000", "a" * 2000, "",
    "string(self.a) == b'x'", "self.metadata.name.startsWith('x')", "self.a.format.named('x')", "format.dns1123Label().validate(self.a).hasValue()",
    "self.a.all(x, self.a.all(y, self.a.all(z, x == y || y == z)))", "self.__a__ == 1", "in", "self.in", "?:", "cel.bind(x, self.a, x)",
]  # fmt: skip
RULES_OF = {
    "integer": ["self > 0", "self * self < 9", "10 / self > 1", "self + 9223372036854775807 > 0", "self != oldSelf", "-self < 0"],
    "string": ["self.matches('(a+)+$')", "size(self) < 3", "self.split('').size() < 3", "duration(self) < duration('1h')",
               "int(self) > 1", "quantity(self).isLessThan(quantity('1Gi'))", "ip(self).family() == 4", "self.lowerAscii() == self",
               "url(self).getHost() == ''", "self.charAt(1) == 'a'", "self.substring(2) == 'a'", "timestamp(self).getSeconds() > 0"],
    "array": ["self.all(x, x == x)", "self.size() < 3", "self[7] == self[0]", "self.isSorted()", "self.exists_one(x, true)",
              "self.map(x, x).size() == oldSelf.size()", "self == self + self", "self.sum() > 0"],
    "object": ["has(self.a)", "self.a == self.b", "self == oldSelf", "self.all(k, size(k) < 3)", "!('a' in self)", "size(self) < 2"],
    "boolean": ["self", "!self || oldSelf"],
    "number": ["self < 1.5", "self / 0.0 > 1.0", "int(self) == 3", "self > -0.0"],
}  # fmt: skip
FORMATS = [
    "date-time",
    "int32",
    "int64",
    "byte",
    "email",
    "uuid",
    "ipv4",
    "cidr",
    "nope",
    "double",
    "date",
    "duration",
    "hostname",
]
EXTENSIONS: dict[str, Any] = {
    "x-kubernetes-preserve-unknown-fields": True,
    "x-kubernetes-int-or-string": True,
    "x-kubernetes-embedded-resource": True,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["a"],
    "x-kubernetes-map-type": "atomic",
    "nullable": True,
    "default": {"a": 1},
    "enum": [1, "a", None],
    "uniqueItems": True,
    "required": ["a"],
    "maxProperties": 2,
    "minimum": 1.5,
    "multipleOf": 0.1,
    "maxLength": 5,
    "$ref": "#/x",
    "deprecated": True,
    "additionalProperties": False,
    "oneOf": [{"required": ["a"]}, {"properties": {"a": {"minimum": 3}}}],
    "not": {"required": ["b"]},
    "allOf": [{"type": "string"}],
}


def _rules(draw: st.DrawFn, kind: str) -> list[dict[str, Any]]:
    rule = {"rule": draw(st.sampled_from(RULES_OF[kind]) | st.sampled_from(RULES_OF[kind]) | st.sampled_from(RULES))}
    more = draw(st.sampled_from([{}, {"message": "m"}, {"messageExpression": "'x' + self.a"}, {"fieldPath": ".a"},
                                 {"optionalOldSelf": True}, {"reason": "FieldValueForbidden"}, {"message": "\n"}]))  # fmt: skip
    return [{**rule, **more}]


@st.composite
def schemas(draw: st.DrawFn, level: int = 0) -> dict[str, Any]:
    kinds = (
        ["string", "integer", "number", "boolean"] if level > 3 else ["object", "object", "array", "string", "integer"]
    )
    kind = draw(st.sampled_from(kinds))
    schema: dict[str, Any] = {"type": kind}
    if kind == "object" and draw(st.integers(0, 3)):
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
        schema["properties"] = {name: draw(schemas(level=level + 1)) for name in names}
    elif kind == "object":
        schema["additionalProperties"] = draw(schemas(level=level + 1))
    elif kind == "array":
        schema["items"] = draw(schemas(level=level + 1))
        schema.update(draw(st.sampled_from([{}, {"maxItems": 3}, {"x-kubernetes-list-type": "set"}])))
    elif kind == "string":
        schema.update(
            draw(
                st.sampled_from(
                    [{}, {"pattern": draw(st.sampled_from(PATTERNS))}, {"format": draw(st.sampled_from(FORMATS))}]
                )
            )
        )
    if draw(st.integers(0, 2)) == 0:
        schema["x-kubernetes-validations"] = _rules(draw, kind)
    for name in draw(st.lists(st.sampled_from(sorted(EXTENSIONS)), max_size=1)):
        schema[name] = EXTENSIONS[name]
    if draw(st.integers(0, 30)) == 0:
        schema[draw(st.sampled_from(["type", "items", "properties", "default", "enum"]))] = draw(anything)
    return schema


@st.composite
def values(draw: st.DrawFn, schema: Any) -> Any:
    """Something that is nearly of a schema."""
    if not isinstance(schema, dict) or draw(st.integers(0, 12)) == 0:
        return draw(anything)
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties")
        if isinstance(properties, dict):
            return {name: draw(values(inner)) for name, inner in properties.items() if draw(st.integers(0, 4))}
        inner = schema.get("additionalProperties")
        return {name: draw(values(inner)) for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))}
    if kind == "array":
        return [draw(values(schema.get("items"))) for _ in range(draw(st.integers(0, 3)))]
    plain = {"integer": st.integers(-5, 2**63), "number": st.floats(allow_nan=False, allow_infinity=False),
             "boolean": st.booleans(), "string": st.sampled_from(["", "a", "aaaa", "1Gi", "1h", "10.0.0.1", "x" * 100])}  # fmt: skip
    return draw(plain.get(kind, anything) if isinstance(kind, str) else anything)


def definition(number: int, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A definition whose objects have the schema under `spec`."""
    whole = {"type": "object", "properties": {"spec": schema, "status": {"type": "object"}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}, **more}
    names = {"plural": f"things{number}", "kind": f"Thing{number}"}
    return {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": f"things{number}.fuzz.example.com"},
        "spec": {"group": "fuzz.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
