"""How often an actor looks for cyclic garbage: seldom where it holds much, soon where memory is scarce.

Objects of Kubernetes are many small dicts, which live long or die at once. With Python's threshold of 700 new objects,
a quarter of the time of an actor that holds thousands went into looking for cycles; with one of 10,000 a small actor
would keep 2 MB of garbage. So the threshold follows what lives, counted after each full collection.

Neighbours: `warm.child` calls `adapt` in each actor's process.
"""

import gc
from typing import Any

YOUNG_SHARE = 20  # one new object for so many that live
LEAST, MOST = 700, 10_000  # Python's own threshold; more gained nothing


def threshold(living: int) -> int:
    """Return how many new objects there may be before somebody looks among them."""
    return min(max(LEAST, living // YOUNG_SHARE), MOST)


def adapt() -> None:
    """Collect garbage from now on, at a pace that follows the number of objects."""
    gc.callbacks.append(_after)
    gc.enable()


def _after(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.set_threshold(threshold(len(gc.get_objects())), *gc.get_threshold()[1:])
