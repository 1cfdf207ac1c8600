from decimal import Decimal

import pytest

from actors.apiserver.machinery import quantities


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("0.5", "500m"), ("1000m", "1"), ("1", "1"), ("0", "0"), ("0Gi", "0"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"),
        ("1000", "1k"), ("1500", "1500"), ("1e3", "1e3"), ("12e6", "12e6"), ("1E", "1E"), ("1Ei", "1Ei"), ("100k", "100k"),  # noqa: E501
        ("1000k", "1M"), ("0.1n", "1n"), ("-1", "-1"), ("+2", "2"), (".5", "500m"), ("5.", "5"), ("1.0", "1"),
        ("1Ki", "1Ki"), ("0.5Ki", "512"), ("1025", "1025"), ("2048Ki", "2Mi"), ("128974848", "128974848"),
        ("129e6", "129e6"), ("123Mi", "123Mi"), ("100m", "100m"), ("0.0001", "100u"),
    ],
)  # fmt: skip
def test_canonical_form(written, canonical):
    assert quantities.canonical(written) == canonical
    assert quantities.canonical(canonical) == canonical


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "1KI", "1 Gi", "--1", "1.2.3", "Gi", "1e", "1e999", "9" * 70, "1Gi\n", "١"]
)
def test_refused(text):
    with pytest.raises(quantities.BadQuantity):
        quantities.canonical(text)


def test_amount():
    assert quantities.amount("1.5Gi") == Decimal(1610612736)
    assert quantities.amount("250m") == Decimal("0.25")
