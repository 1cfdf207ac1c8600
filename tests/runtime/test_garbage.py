"""The pace of looking for cyclic garbage follows what lives, and what is found."""

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
    assert garbage.bounds(2_000) == (700, 700)
    assert garbage.bounds(20_000) == (1_000, 5_000)
    assert garbage.bounds(10_000_000) == (10_000, 10_000)


def test_who_finds_nothing_looks_less_often_and_who_finds_much_more() -> None:
    assert garbage.paced(1_000, 0, 700, 5_000) == 2_000
    assert garbage.paced(4_000, 39, 700, 5_000) == 5_000
    assert garbage.paced(4_000, 300, 700, 5_000) == 4_000
    assert garbage.paced(4_000, 500, 700, 5_000) == 2_000
    assert garbage.paced(1_000, 900, 700, 5_000) == 700


def test_a_full_collection_sets_the_pace(untouched: None) -> None:
    garbage.adapt()
    living = [{"number": [number]} for number in range(100_000)]
    gc.collect()
    assert gc.get_threshold()[0] >= len(living) // garbage.YOUNG_SHARE
    assert gc.get_threshold()[1:] == (10, 10)
