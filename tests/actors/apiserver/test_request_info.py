"""Flags of a query, as clients of other languages write them."""

import pytest

from actors.apiserver.request_info import is_true, parse


@pytest.mark.parametrize(("text", "value"), [
    (None, False), ("false", False), ("False", False), ("FALSE", False), ("0", False),
    ("true", True), ("True", True), ("1", True), ("", True), ("no", True),
])  # fmt: skip
def test_flags(text, value):
    assert is_true(text) is value


def test_a_python_clients_false_is_no_watch():
    assert parse("GET", "/api/v1/pods", "watch=False").verb == "list"
    assert parse("GET", "/api/v1/pods", "watch=True").verb == "watch"
