"""Selectors: both notations, what they match, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.api.selectors import (
    EVERYTHING,
    SelectorError,
    fields_match,
    from_label_selector,
    from_labels,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "front", "size": "10", "kubus.dev/x": ""}


@pytest.mark.parametrize(
    "text",
    ["", "app=web", "app==web", "app = web , tier in (front, back)", "tier notin (back)", "!old", "app", "app!=db",
     "size>9", "size<11", "kubus.dev/x", "kubus.dev/x=", "missing!=x", "x notin (y),app"],
)  # fmt: skip
def test_matches(text):
    assert parse_label_selector(text).matches(LABELS)


@pytest.mark.parametrize(
    "text", ["app=db", "tier in (back)", "!app", "old", "size>10", "app!=web", "tier notin (front)"]
)
def test_does_not_match(text):
    assert not parse_label_selector(text).matches(LABELS)


@pytest.mark.parametrize(
    "text", ["=", "a=b=c", "a in b", "a in (b", "a,,b", "a in (b))", "-a=b", "a=b c", "a>x", "a@b", ","]
)
def test_nonsense_is_refused(text):
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a..b/c=d", "prefix part a lowercase RFC 1123 subdomain"),  # a match of characters alone would let it pass
        (f"{'a' * 64}=b", "name part must be no more than 63 bytes"),
        (f"a={'b' * 64}", "must be no more than 63 bytes"),
        ("a/b/c=d", "a qualified name must consist of"),
    ],
)
def test_keys_and_values_of_a_query_are_those_of_labels(text, why):
    with pytest.raises(SelectorError, match="unable to parse requirement: ") as error:
        parse_label_selector(text)
    assert why in str(error.value)


def test_a_missing_selector_matches_nothing_and_an_empty_one_everything():
    assert not from_label_selector(None).matches(LABELS)
    assert from_label_selector({}).matches(LABELS)
    assert not from_labels({}).matches(LABELS)
    assert EVERYTHING.matches(None)


def test_expressions():
    selector = from_label_selector(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]}
    )
    assert selector.matches(LABELS)
    assert not selector.matches(LABELS | {"tier": "back"})
    with pytest.raises(SelectorError, match="not a valid label selector operator"):
        from_label_selector({"matchExpressions": [{"key": "a", "operator": "Like"}]})


def test_field_selectors():
    found = parse_field_selector(r"spec.nodeName=w1,status.phase!=Failed,metadata.name=a\,b")
    read = {"spec.nodeName": "w1", "status.phase": "Running", "metadata.name": "a,b"}.get
    assert fields_match(found, read)
    assert not fields_match(parse_field_selector("spec.nodeName!=w1"), read)
    with pytest.raises(SelectorError):
        parse_field_selector("nonsense")


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text):
    try:
        parse_label_selector(text).matches(LABELS)
        parse_field_selector(text)
    except SelectorError:
        pass
