"""How a simulated world is lived through: trouble for a while, then calm, in which it has to converge.

KUBUS_SIM_SEEDS=FROM:TO runs other seeds than the usual ones; a failing seed is in the message and replays alone.

Neighbours: `raft_world` and `state_world` are the worlds; the tests of this folder choose seeds and faults.
"""

import os
from typing import TypeVar

from tests.sim.raft_world import World

CALM_LIMIT = 3000  # steps in which everything has healed
LOOK_EVERY = 10  # of them: whether it has converged

AnyWorld = TypeVar("AnyWorld", bound=World)


def seeds(usual: str, of_a_test: int) -> range:
    """Return the first seed of each test: of the usual ones, or of those that were asked for."""
    first, _, last = os.environ.get("KUBUS_SIM_SEEDS", usual).partition(":")
    return range(int(first), int(last), of_a_test)


def live_through(world: AnyWorld, seed: int, steps: int, check_every: int) -> AnyWorld:
    try:
        for step in range(steps):
            world.step()
            if step % check_every == 0:
                world.check_matching()
        world.calm_down()
        for _ in range(CALM_LIMIT):
            world.step()
            if world.has_converged() and world.step_count % LOOK_EVERY == 0:
                break
        else:
            raise AssertionError(f"no convergence within {CALM_LIMIT} calm steps")
        world.check_at_the_end()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, step {world.step_count}: {error}") from error
    return world
