"""How often an actor looks for cyclic garbage: seldom where it holds much or finds none, soon where memory is scarce.

Objects of Kubernetes are many small dicts, which live long or die at once. With Python's threshold of 700 new objects,
a quarter of the time of an actor that holds thousands went into looking for cycles; with one of 10,000 a small actor
would keep 2 MB of garbage. So the threshold follows what lives, counted after each full collection, and what is found:
of an API server at work that is nothing, and what it goes through are the requests that are under way.

Neighbours: `warm.child` calls `adapt` in each actor's process.
"""

import gc
from typing import Any

LEAST, MOST = 700, 10_000  # Python's own threshold; more gained nothing
YOUNG_SHARE = 20  # at most one look for each such share of what lives, however much is found
FRUITLESS_SHARE = 4  # at least one look for each such share, however little is found
MUCH, LITTLE = 10, 100  # garbage of more than a tenth of the threshold is much, of less than a hundredth little

_bounds = [LEAST, LEAST]


def bounds(living: int) -> tuple[int, int]:
    """Return between how few and how many new objects there may be before somebody looks among them."""
    return min(max(LEAST, living // YOUNG_SHARE), MOST), min(max(LEAST, living // FRUITLESS_SHARE), MOST)


def paced(threshold: int, found: int, least: int, most: int) -> int:
    """Return the threshold after a look that has found so many objects."""
    if found * MUCH > threshold:
        threshold //= 2
    elif found * LITTLE < threshold:
        threshold *= 2
    return min(max(least, threshold), most)


def adapt() -> None:
    """Collect garbage from now on, at a pace that follows the number of objects."""
    _bounds[:] = LEAST, LEAST
    gc.callbacks.append(_after)
    gc.enable()


def _after(phase: str, info: dict[str, Any]) -> None:
    if phase != "stop":
        return
    if info["generation"] == 2:
        _bounds[:] = bounds(len(gc.get_objects()))
    now, *older = gc.get_threshold()
    gc.set_threshold(paced(now, info["collected"], *_bounds), *older)
