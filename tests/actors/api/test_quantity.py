"""Quantities keep their exact value and come back in canonical form."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.api.quantity import bytes_of, cpu_millis, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", "0.1"), ("1.5Gi", "1610612736"), ("2e3", "2000"), (3, "3"), ("0", "0"), ("5k", "5000"), ("-1", "-1"),
     ("1n", "1e-9"), (".5", "0.5"), ("1E", "1e18"), ("12e-3", "0.012"), ("0.5", "0.5")],
)  # fmt: skip
def test_a_quantity_has_its_exact_value(text, value):
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "x", "1Q", "1 Gi", "--1", "1e", "Gi", "1" * 65, "1.2.3", "1e99999", "1\n", " 1", "١m"]
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_fractions_round_up():
    assert (cpu_millis("0.0005"), cpu_millis("1"), cpu_millis("250m"), bytes_of("1.1")) == (1, 1000, 250, 2)


def test_huge_numbers_are_capped():
    assert parse_quantity("9e999") == Decimal(2**63 - 1)


@given(st.integers(min_value=-(10**15), max_value=10**15), st.sampled_from(["", "m", "k", "M", "u"]))
def test_the_canonical_form_has_the_same_value(number, suffix):
    value = parse_quantity(f"{number}{suffix}")
    assert parse_quantity(format_quantity(value)) == value


def test_binary_amounts_keep_binary_suffixes():
    assert format_quantity(64 * 1024**3, binary=True) == "64Gi"
    assert format_quantity(1000, binary=True) == "1k"
