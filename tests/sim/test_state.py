"""Worlds of whole members: the machine's outcomes, the log and the snapshots, whatever crashes when."""

import pytest

from tests.sim.living import live_through, seeds
from tests.sim.raft_world import Faults
from tests.sim.state_world import StateWorld

STEPS = 900
SEEDS_A_TEST = 10


@pytest.mark.parametrize("first", seeds("0:100", SEEDS_A_TEST))
def test_every_member_does_what_the_log_says_whatever_happens(first):
    worlds = []
    for seed in range(first, first + SEEDS_A_TEST):
        faults = [
            Faults(),
            Faults(crash=0.05, revive=0.1, pause=0.01),
            Faults(change=0.02, compact=0.05, transfer=0.01, crash=0.01),
            Faults(loss=0.1, cut=0.02, heal=0.01, compact=0.05, crash=0.01),
            Faults(delay=(1, 20), double=0.2, crash=0.01, compact=0.03),
        ][seed % 5]
        world = StateWorld(seed, (1, 3, 3, 5)[seed % 4], faults)
        worlds.append(live_through(world, seed, STEPS, check_every=100))
    assert sum(world.torn for world in worlds) > 0
    assert sum(world.installs for world in worlds) > 0
