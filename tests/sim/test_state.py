"""Worlds of whole members: the machine's outcomes, the log and the snapshots, whatever crashes when.

KUBUS_SIM_SEEDS=FROM:TO runs a longer range; a failing seed is in the message and replays alone.
"""

import os

import pytest

from tests.sim.raft_world import Faults
from tests.sim.state_world import StateWorld
from tests.sim.test_raft import CALM_LIMIT

STEPS = 900
SEEDS_A_TEST = 10


def seeds() -> range:
    first, _, last = os.environ.get("KUBUS_SIM_SEEDS", "0:100").partition(":")
    return range(int(first), int(last), SEEDS_A_TEST)


def live_through(seed: int, faults: Faults, size: int) -> StateWorld:
    world = StateWorld(seed, size, faults)
    try:
        for step in range(STEPS):
            world.step()
            if step % 100 == 0:
                world.check_matching()
        world.calm_down()
        for _ in range(CALM_LIMIT):
            world.step()
            if world.has_converged() and world.step_count % 10 == 0:
                break
        else:
            raise AssertionError(f"no convergence within {CALM_LIMIT} calm steps")
        world.check_matching()
        for member in world.members.values():
            world.check_machine(member)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, step {world.step_count}: {error}") from error
    return world


@pytest.mark.parametrize("first", seeds())
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
        worlds.append(live_through(seed, faults, size=(1, 3, 3, 5)[seed % 4]))
    assert sum(world.torn for world in worlds) > 0
    assert sum(world.installs for world in worlds) > 0
