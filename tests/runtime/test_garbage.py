"""The pace of looking for cyclic garbage follows what lives."""

import gc
from collections.abc import Iterator

import pytest

from runtime import garbage


@pytest.fixture
def untouched() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.callbacks.remove(garbage._after)
    gc.set_threshold(*before)


def test_small_processes_keep_pythons_pace_and_large_ones_have_a_bound() -> None:
    assert garbage.threshold(5_000) == 700
    assert garbage.threshold(100_000) == 5_000
    assert garbage.threshold(10_000_000) == 10_000


def test_a_full_collection_sets_the_pace(untouched: None) -> None:
    garbage.adapt()
    living = [{"number": [number]} for number in range(100_000)]
    gc.collect()
    assert gc.get_threshold()[0] >= len(living) // garbage.YOUNG_SHARE
    assert gc.get_threshold()[1:] == (10, 10)
