"""Thousands of worlds: whatever goes wrong, the invariants hold; when it stops, the group converges."""

import pytest

from tests.sim.living import live_through, seeds
from tests.sim.raft_world import Faults, World

STEPS = 1500
SEEDS_A_TEST = 50
# Members die as soon as they have told what they wrote, and are soon back: what they promised must be there.
CRASHING = Faults(crash_after_write=0.1, revive=0.2, suspect=0.03, cut=0.02, heal=0.05)


def lived_through(seed: int, faults: Faults, size: int) -> World:
    return live_through(World(seed, size, faults), seed, STEPS, check_every=50)


@pytest.mark.parametrize("first", seeds("0:1400", SEEDS_A_TEST))
def test_the_invariants_hold_whatever_happens(first):
    for seed in range(first, first + SEEDS_A_TEST):
        faults = [
            Faults(),
            Faults(loss=0.2, cut=0.02, heal=0.01),
            Faults(crash=0.02, revive=0.05, pause=0.01),
            Faults(change=0.02, compact=0.03, transfer=0.01),
            Faults(delay=(1, 30), double=0.2, crash=0.01),
        ][seed % 5]
        lived_through(seed, faults, size=(1, 3, 3, 5)[seed % 4])


def test_a_quiet_world_makes_progress():
    world = lived_through(1, Faults(loss=0, double=0, slow=0, cut=0, crash=0, pause=0, transfer=0, change=0), 3)
    assert len(world.committed) > 300
    assert world.reads_done > 300
    assert len(world.leaders) == 1


@pytest.mark.parametrize("slow", [0.0, 0.02])
def test_a_busy_world_keeps_its_leader(slow):
    """Nobody dies and nothing is lost, but messages are late by up to a third of an election, some by ten times that,
    and disks are slow: no reason to elect."""
    quiet = Faults(loss=0, double=0, cut=0, crash=0, pause=0, transfer=0, suspect=0, change=0, slow=slow, delay=(1, 10))
    for seed in range(8):
        world = World(seed, 3, quiet)
        for _ in range(500):
            world.step()
        assert len(world.leaders) == 1, f"seed {seed}: {world.leaders}"
