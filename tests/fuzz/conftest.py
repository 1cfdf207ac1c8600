"""An API server's core for fuzzers: in this process, on a loop of its own, with one object of many kinds in it."""

from collections.abc import Iterator

import pytest

from tests.fuzz.target import Target


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target
        target.assert_nothing_is_left()
