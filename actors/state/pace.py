"""How long work in a thread makes way for the actor's loop.

A thread that works without a pause wants the interpreter whenever the loop lets go of it, which the loop does at each
message that it sends or takes; and it wants a core that the members of a busy machine could use. So it rests after each
short piece of work, several times as long as that took: on a busy machine pieces take longer, and so do the rests.

Neighbours: `snapshots` writes its files and removes old ones at such a pace.
"""

import threading

from runtime.clock import Clock

RESTS = 4  # a piece of work is followed by a rest of so many times its length: the thread works a fifth of the time
MAX_REST_S = 0.05  # the disk may have been what took long


class Pace:
    """Of one thread's work, which begins when this is made."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._hurried = threading.Event()
        self._begin_s = clock.monotonic()

    def rest(self) -> None:
        """A short piece of work is done."""
        took_s = self._clock.monotonic() - self._begin_s
        self._hurried.wait(min(RESTS * took_s, MAX_REST_S))
        self._begin_s = self._clock.monotonic()

    def hurry(self) -> None:
        """Somebody waits for the end of it: no more rests, and none that has begun."""
        self._hurried.set()
