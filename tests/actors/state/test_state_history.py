"""Three state actors under load while leaders are killed and stopped: the recorded history is linearizable."""

import asyncio
import time

import pytest

from tests.actors.state.state_group import StateGroup
from tests.actors.state.workload import Workload
from tests.linearizability import check, check_revisions, check_watch

BETWEEN_S = 0.7  # faults, so that some of the work is done in peace
STOPPED_S = 1.2  # longer than an election takes


async def kill(group, leader):
    await asyncio.to_thread(leader.kill)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(leader.start)


async def stop(group, leader):
    leader.pause()
    await asyncio.sleep(STOPPED_S)
    leader.resume()


async def trouble(group, fault, times, workload):
    try:
        for _ in range(times):
            await asyncio.sleep(BETWEEN_S)
            leader = await asyncio.to_thread(group.wait_for_leader)
            await fault(group, leader)
        await asyncio.sleep(BETWEEN_S)
    finally:
        workload.over.set()


def judge(recorded, last):
    violations = [str(violation) for violation in check(recorded.operations)]
    violations += check_revisions(recorded.revisions)
    for seen in recorded.seen:
        violations += check_watch(seen, recorded.written, 2, last)
    assert violations == []


@pytest.mark.parametrize(("fault", "times"), [(kill, 4), (stop, 3)])
def test_nothing_that_was_answered_is_lost_or_goes_back_in_time(tmp_path, fault, times):
    group = StateGroup(tmp_path, snapshot_every_bytes=100_000, segment_bytes=65_536).start()

    async def scenario():
        workload = Workload(group.endpoints, seed=int(time.time()))
        last, _ = await asyncio.gather(workload.run(), trouble(group, fault, times, workload))
        return workload.recorded, last

    try:
        recorded, last = asyncio.run(scenario())
    finally:
        group.stop()
    assert len(recorded.written) > 100 * times
    judge(recorded, last)
    print(f"{len(recorded.operations)} operations, longest without a write {recorded.longest_gap_s * 1000:.0f} ms")
