"""Worlds whose members die at the worst moments: after each write that the others have just heard of.

Half of them carry one entry in a message, so that followers hold any part of what their leader has.
"""

import pytest

from actors.state.raft import leading
from tests.sim.living import seeds
from tests.sim.test_raft import CRASHING, SEEDS_A_TEST, lived_through

SEEDS_OFFSET = 100_000  # other worlds than those of the gentler faults


@pytest.mark.parametrize("first", seeds("0:600", SEEDS_A_TEST))
def test_the_invariants_hold_whoever_dies_after_a_promise(first, monkeypatch):
    for seed in range(first, first + SEEDS_A_TEST):
        monkeypatch.setattr(leading, "MESSAGE_BYTES", (1, 1 << 20)[seed // 2 % 2])
        lived_through(SEEDS_OFFSET + seed, CRASHING, size=(3, 5)[seed % 2])
