"""CEL rules of a schema as they run on objects: what they see, what ends them, what they let be."""

from typing import Any

import pytest

from actors.apiserver.extensions.schema.node import UNSET, Node
from actors.apiserver.extensions.schema.rules import scope_of

RULES = "x-kubernetes-validations"


def spec(properties: dict[str, Any], *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, RULES: list(rules), **more}


def causes(schema: dict[str, Any], value: Any, old: Any = UNSET) -> dict[str, str]:
    scope = scope_of(Node(schema))
    assert scope is not None
    return {cause.field: cause.message for cause in scope.causes(value, old)}


NUMBERS = {"type": "array", "items": {"type": "integer"}}
SQUARE = "self.l.all(x, self.l.all(y, x >= 0))"


def test_a_rule_that_does_too_much_ends_them_all():
    schema = spec({"l": NUMBERS}, {"rule": SQUARE}, {"rule": "false"})
    assert causes(schema, {"l": [1]}) == {"<nil>": "Invalid value: failed rule: false"}
    said = causes(schema, {"l": [1] * 1_000})["<nil>"]
    assert said == (
        "Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no further validation rules "
        f"will be run due to call cost exceeds limit for rule: {SQUARE}"
    )


def test_all_rules_of_an_object_share_a_budget():
    """Each rule costs about 0.8 million units, so the thirteenth finds nothing left."""
    schema = spec({"l": NUMBERS}, *({"rule": SQUARE + " " * i} for i in range(13)))
    value = {"l": [1] * 400}
    assert causes(spec({"l": NUMBERS}, {"rule": SQUARE}), value) == {}
    said = causes(schema, value)["<nil>"]
    out_of_budget = "validation failed due to running out of cost budget, no further validation rules will be run"
    assert said == f'Invalid value: "object": {out_of_budget}'


def test_a_message_that_does_too_much():
    schema = spec({"l": NUMBERS}, {"rule": "false", "messageExpression": f"{SQUARE} ? 'a' : 'b'"}, {"rule": "false"})
    said = causes(schema, {"l": [1] * 1_000})["<nil>"]
    assert said.startswith('Invalid value: "object": no further validation rules will be run due to call cost exceeds ')


def test_errors_are_told_with_the_rule():
    schema = spec({"a": {"x-kubernetes-int-or-string": True}}, {"rule": "self.a < 5", "message": "must be few"})
    assert (
        "call arguments did not match a supported operator, function or macro signature for rule: must be few"
        in (causes(schema, {"a": "x"})["<nil>"])
    )
    missing = spec({"a": {"type": "integer"}}, {"rule": "self.a < 5"})
    assert causes(missing, {})["<nil>"] == 'Invalid value: "object": no such key: a evaluating rule: self.a < 5'


@pytest.mark.parametrize(
    "rule",
    [
        "self.set == ['c', 'b', 'a'] && self.set == self.other",
        "self.set + ['c', 'd'] == ['a', 'b', 'c', 'd']",
        "self.map == [self.map[1], self.map[0]]",
        "self.map + [{'k': 'a', 'v': '9'}] == [{'k': 'a', 'v': '9'}, {'k': 'b', 'v': '2'}]",
        "size(self.map + [{'k': 'c', 'v': '9'}]) == 3",
        "self.plain != ['b', 'a']",
        "!has(self.nothing) && self.nothings.size() == 2 && self.nothings['a'] == null",
    ],
)
def test_lists_of_a_type_and_nulls(rule: str):
    text = {"type": "string"}
    items = {"type": "object", "properties": {"k": text, "v": text}}
    schema = spec(
        {
            "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
            "other": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
            "plain": {"type": "array", "items": text},
            "map": {
                "type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            },
            "nothing": {"type": "string", "nullable": True},
            "nothings": {"type": "object", "additionalProperties": {"type": "string", "nullable": True}},
        },
        {"rule": rule},
    )  # fmt: skip
    value = {
        "set": ["a", "b", "c"],
        "other": ["b", "a", "c"],
        "plain": ["a", "b"],
        "map": [{"k": "a", "v": "1"}, {"k": "b", "v": "2"}],
        "nothing": None,
        "nothings": {"a": None, "b": "x"},
    }
    assert causes(schema, value) == {}


def test_what_is_part_of_what_has_not_changed_is_let_be():
    item = {"type": "string", RULES: [{"rule": "self.startsWith('a')"}]}
    schema = spec({"l": {"type": "array", "items": item}, "n": {"type": "integer"}}, {"rule": "true"})
    assert causes(schema, {"l": ["b"]})["l[0]"].endswith("failed rule: self.startsWith('a')")
    assert causes(schema, {"l": ["b"], "n": 2}, {"l": ["b"], "n": 1}) == {}
    assert "l[0]" in causes(schema, {"l": ["b", "a"]}, {"l": ["b"]})


def test_a_transition_rule_within_what_has_not_changed_runs():
    field = {"type": "integer", RULES: [{"rule": "self > oldSelf", "message": "must grow"}]}
    schema = spec({"n": field, "m": {"type": "integer"}}, {"rule": "true"})
    assert causes(schema, {"n": 1, "m": 1}, {"n": 1, "m": 1}) == {"n": "Invalid value: 1: must grow"}


def test_an_optional_past():
    field = {
        "type": "integer",
        RULES: [{"rule": "oldSelf.optMap(o, o <= self).orValue(self < 10)", "optionalOldSelf": True}],
    }
    schema = spec({"n": field}, {"rule": "true"})
    assert causes(schema, {"n": 9}) == {} and "n" in causes(schema, {"n": 11})
    assert causes(schema, {"n": 11}, {"n": 10}) == {} and "n" in causes(schema, {"n": 9}, {"n": 10})
