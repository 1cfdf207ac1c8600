"""Events go out in order and at a measured pace; what comes too fast is dropped and counted, never in the way."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from actors.api import errors
from actors.api.events import BURST, GIVE_WAY_S, QUEUE, SENT_AT_ONCE, SENT_PER_S, EventRecorder, Outbox
from bus import Unavailable
from runtime.virtual_time import VirtualClock, run

Object = dict[str, Any]


class Api:
    """Takes events, each with the time when it came."""

    def __init__(self, clock: VirtualClock):
        self._clock = clock
        self.created: list[tuple[float, Object]] = []
        self.patched: list[Object] = []
        self.failure: Exception | None = None

    async def create(self, resource: str, event: Object) -> Object:
        if self.failure is not None:
            raise self.failure
        self.created.append((self._clock.monotonic(), event))
        return event

    async def patch(self, resource: str, name: str, patch: Object, namespace: str) -> Object:
        self.patched.append(patch)
        known = next(event for _, event in self.created if event["metadata"]["name"] == name)
        return {**known, **patch}


def pod(number: int) -> Object:
    metadata = {"name": f"p{number}", "namespace": "default", "uid": f"uid-{number}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def scenario(play: Callable[[Api, Outbox, EventRecorder], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        api = Api(clock)
        outbox = Outbox(api, clock)  # type: ignore[arg-type]
        await play(api, outbox, EventRecorder(outbox, "kubelet", "w1", clock))

    run(main())


def test_a_few_go_out_at_once_and_a_rush_at_a_steady_pace() -> None:
    async def play(api: Api, outbox: Outbox, recorder: EventRecorder) -> None:
        for number in range(SENT_AT_ONCE + 50):
            recorder.event(pod(number), "Normal", "Started", "Started container c")
        await asyncio.sleep(0.001)
        assert len(api.created) == SENT_AT_ONCE
        await asyncio.sleep(50 / SENT_PER_S)
        told = [event["involvedObject"]["name"] for _, event in api.created]
        assert told == [f"p{number}" for number in range(SENT_AT_ONCE + 50)]

    scenario(play)


def test_recorders_of_a_process_share_the_pace_and_a_full_queue_drops() -> None:
    async def play(api: Api, outbox: Outbox, recorder: EventRecorder) -> None:
        other = EventRecorder(outbox, "scheduler", "", VirtualClock(asyncio.get_running_loop()))
        for number in range(QUEUE + 10):
            (recorder if number % 2 else other).event(pod(number), "Normal", "Told", "told")
        assert outbox.is_full
        assert recorder.dropped + other.dropped == 10
        await asyncio.sleep(0.001)
        assert len(api.created) == SENT_AT_ONCE

    scenario(play)


def test_an_orderly_end_holds_nothing_back() -> None:
    async def play(api: Api, outbox: Outbox, recorder: EventRecorder) -> None:
        for number in range(SENT_AT_ONCE * 2):
            recorder.event(pod(number), "Normal", "Started", "Started container c")
        await asyncio.sleep(0.001)
        begin = asyncio.get_running_loop().time()
        await outbox.flush()
        assert len(api.created) == SENT_AT_ONCE * 2
        assert asyncio.get_running_loop().time() - begin < 0.1

    scenario(play)


def test_events_wait_for_a_busy_process_but_not_for_ever_and_not_at_its_end() -> None:
    async def play(api: Api, outbox: Outbox, recorder: EventRecorder) -> None:
        calm = asyncio.Event()
        outbox.give_way(calm)
        recorder.event(pod(1), "Normal", "Pulled", "there")
        await asyncio.sleep(GIVE_WAY_S - 1)
        recorder.event(pod(2), "Normal", "Pulled", "there")
        assert api.created == []
        await asyncio.sleep(1.001)
        assert len(api.created) == 1, "each has its own time"
        calm.set()
        await asyncio.sleep(0.001)
        assert len(api.created) == 2
        calm.clear()
        recorder.event(pod(3), "Normal", "Pulled", "there")
        await asyncio.sleep(0.001)
        assert len(api.created) == 2
        await outbox.flush()
        assert len(api.created) == 3

    scenario(play)


def test_the_same_again_counts_up_and_a_burst_about_one_object_is_cut() -> None:
    async def play(api: Api, outbox: Outbox, recorder: EventRecorder) -> None:
        for _ in range(BURST + 5):
            recorder.event(pod(1), "Warning", "BackOff", "Back-off restarting failed container c")
        await outbox.flush()
        assert len(api.created) == 1
        assert api.patched[-1]["count"] == BURST
        assert recorder.dropped == 5

    scenario(play)


def test_what_the_api_does_not_take_is_counted_and_not_sent_again() -> None:
    async def play(api: Api, outbox: Outbox, recorder: EventRecorder) -> None:
        for failure in (Unavailable("away"), errors.forbidden("events", "e", "no")):
            api.failure = failure
            recorder.event(pod(1), "Normal", "Told", f"told {failure}")
            await outbox.flush()
        assert outbox.dropped == 2
        assert api.created == []

    scenario(play)
