"""The load generator's own share in what it measures: it must not be what is slow.

With Python's usual thresholds a generator that holds thousands of tasks looks through all of them for garbage, which
takes 30 to 60 ms: with 256 requests under way that alone is the slowest percent of 20,000. So it collects as seldom as
an actor does; and how late its own loop was is printed beside the latencies that it saw.
"""

import asyncio
import gc
import time

from runtime import garbage

PULSE_S = 0.002


def collect_as_actors_do() -> None:
    """Once: look seldom, and never at what is there already."""
    gc.collect()
    gc.freeze()
    garbage.adapt()


class Lateness:
    """How late the generator's loop was, as a pulse in it sees that. Ask for its `str` after the `async with`."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Lateness":
        self._task = asyncio.get_running_loop().create_task(self._pulse())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def __str__(self) -> str:
        ordered = sorted(self._times) or [0.0]
        p99, worst = ordered[len(ordered) * 99 // 100] * 1000, ordered[-1] * 1000
        return f"the generator itself was late by p99 {p99:.1f} ms, at worst {worst:.1f} ms"

    async def _pulse(self) -> None:
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(PULSE_S)
            self._times.append(max(0.0, time.perf_counter() - begin - PULSE_S))
