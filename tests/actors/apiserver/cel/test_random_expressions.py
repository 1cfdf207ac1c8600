"""Expressions come to the same here as in the library that parses them, which evaluates too: random ones, well typed or
not, over all that the language has; where one fails, the other does.

The library stops loops after 10,000 turns and knows nothing of Kubernetes' limits, so the expressions stay small.
"""

from collections.abc import Callable
from typing import Any

from cel_expr_python import cel
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from actors.apiserver.cel.checker import untyped
from actors.apiserver.cel.environment import dynamic
from actors.apiserver.cel.errors import CompileError, EvaluationError
from actors.apiserver.cel.values import TypeOf

ENV = dynamic("self", "n", "s", "b", "l", "m")
LIBRARY = untyped("self", "n", "s", "b", "l", "m")
FAILED = "failed"

small = st.integers(-9, 9)
words = st.sampled_from(["", "a", "b", "ab", "ä", "a.b", "10"])
documents = st.recursive(
    st.none() | st.booleans() | small | st.sampled_from([0.5, -2.0, 1e300]) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value + '"'
    return str(value).lower() if isinstance(value, bool) else f"({value})" if isinstance(value, int | float) else "null"


def either(*shapes: str):
    """Expressions of these shapes: {0} and so on stand for others."""
    return lambda inner: st.one_of(
        [st.tuples(inner, inner, inner).map(lambda parts, shape=shape: shape.format(*parts)) for shape in shapes]
    )


atoms = (
    st.sampled_from(["self", "self.a", "self.b.a", "self['c']", "self[0]", "n", "s", "b", "l", "m", "m.a", "l[1]"])
    | small.map(literal)
    | words.map(literal)
    | st.booleans().map(literal)
    | st.sampled_from(["null", "1.5", "2u", "[]", "{}", "b'x'", "duration('90s')", "timestamp('2026-01-02T03:04:05Z')"])
)
operators = either(
    "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} / {1})", "({0} % {1})", "(-{0})", "(!{0})",
    "({0} == {1})", "({0} != {1})", "({0} < {1})", "({0} <= {1})", "({0} > {1})", "({0} >= {1})",
    "({0} && {1})", "({0} || {1})", "({0} ? {1} : {2})", "({0} in {1})", "[{0}, {1}]", "{{'a': {0}, 'b': {1}}}",
    "({0})[{1}]", "({0}).a", "has(self.a) && ({0}) == ({1})",
)  # fmt: skip
functions = either(
    "size({0})", "({0}).size()", "string({0})", "int({0})", "double({0})", "uint({0})", "bool({0})", "type({0})",
    "dyn({0})", "bytes({0})", "duration({0})", "timestamp({0})",
    "({0}).contains({1})", "({0}).startsWith({1})", "({0}).endsWith({1})", "({0}).matches({1})",
    "({0}).split({1})", "({0}).replace({1}, {2})", "({0}).substring({1})", "({0}).lowerAscii()", "({0}).trim()",
    "({0}).join({1})", "({0}).charAt({1})", "({0}).getHours()", "({0}).getSeconds()",
    "math.greatest({0}, {1})", "math.least({0}, {1})",
    "sets.contains({0}, {1})", "sets.intersects({0}, {1})", "sets.equivalent({0}, {1})",
)  # fmt: skip
macros = either(
    "({0}).all(x, x == {1})", "({0}).exists(x, x == {1})", "({0}).exists_one(x, x == {1})",
    "({0}).filter(x, x != {1})", "({0}).map(x, [x, {1}])", "({0}).map(x, x != {1}, x)",
    "({0}).all(k, v, v == {1})", "({0}).exists(k, v, k == {1})", "({0}).transformList(k, v, [k, v])",
    "({0}).transformMap(k, v, [k, v])", "cel.bind(x, {0}, [x, x])", "({0}).all(x, x > {1} || x < {2})",
    "optional.of({0}).orValue({1})", "optional.none().orValue({0})", "optional.ofNonZeroValue({0}).hasValue()",
    "self.?a.orValue({0})", "self.?a.?b.hasValue()", "[?self.?a, {0}]", "{{?'a': self.?a, 'b': {0}}}",
    "optional.of({0}).optMap(x, [x]).orValue([])",
)  # fmt: skip
expressions = st.recursive(
    atoms, lambda inner: operators(inner) | operators(inner) | functions(inner) | macros(inner), max_leaves=8
)
variables = st.fixed_dictionaries(
    {
        "self": documents, "n": small, "s": words, "b": st.booleans(),
        "l": st.lists(small | words, max_size=3), "m": st.dictionaries(st.sampled_from(["a", "b"]), small, max_size=2),
    }
)  # fmt: skip


def evaluated(evaluate: Callable[[dict], Any], given_: dict) -> Any:
    try:
        return comparable(evaluate(given_))
    except EvaluationError:
        return FAILED


def comparable(value: Any) -> Any:
    """A value without what the two may differ in: the order of maps, and Python's types for bytes and for types."""
    if isinstance(value, dict):
        return "map", sorted((comparable(key), repr(comparable(item))) for key, item in value.items())
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, bytearray):
        return repr(bytes(value))
    return "a type" if isinstance(value, TypeOf | cel.Type) else repr(value)


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(expressions, variables)
def test_both_come_to_the_same(expression: str, given_: dict):
    try:
        program, by_library = ENV.compile(expression), LIBRARY.evaluator(expression)
    except CompileError:
        reject()
    try:
        theirs = evaluated(by_library, given_)
    except RuntimeError as error:
        assert "cel.@mapInsert" in str(error)  # transformMap, which the library parses and cannot do
        reject()
    ours = evaluated(program.evaluate, given_)
    if " in " in expression and FAILED in (ours, theirs):
        reject()  # what can be no key is in no map: to the library that is an error
    assert ours == theirs
