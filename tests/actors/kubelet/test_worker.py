"""What one pod's worker bears, and what it leaves behind: faults of the node's disk, crashes, a slow end."""

import asyncio
import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from actors.kubelet import pod as pods
from actors.kubelet.backoff import Backoff
from actors.kubelet.containerd.proto import cri_pb2
from actors.kubelet.containerd.requests import whole_seconds
from actors.kubelet.surroundings.pod_files import NoFiles
from actors.kubelet.terminator import Grace
from runtime.clock import ManualClock

from .pods import container, pod
from .test_node_kubelet import World, scenario

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["prepare", "remove_volumes", "remove"])
def test_a_disk_that_fails_a_pod_is_tried_again_and_ends_no_kubelet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    faults = [FULL, FULL]
    works = getattr(NoFiles, what)

    async def failing(self: NoFiles, *arguments: Any) -> None:
        if faults:
            raise faults.pop()
        await works(self, *arguments)

    monkeypatch.setattr(NoFiles, what, failing)

    async def play(world: World) -> None:
        world.create()
        await world.until(world.ready)
        world.api.request_deletion("p", 0)
        await world.until(lambda: world.api.pod("p") is None)
        assert faults == []
        told = [event["message"] for event in world.api.events if event["reason"] == "FailedMount"]
        assert told == (["MountVolume.SetUp failed: No space left on device"] if what == "prepare" else [])

    scenario(tmp_path, play)


def test_the_backoff_of_a_pods_containers_goes_with_it(tmp_path: Path) -> None:
    def kept(world: World) -> Backoff:
        assert world.node is not None
        return world.node.pods._with.backoff

    async def play(world: World) -> None:
        world.create(container("web"), rules={"exit-code": "1", "run-seconds": "0.5"})
        await world.until(lambda: world.status().get("containerStatuses") and world.only()["restartCount"] > 1, 120)
        assert len(kept(world)) == 1
        world.api.request_deletion("p", 0)
        await world.until(lambda: world.api.pod("p") is None)
        assert len(kept(world)) == 0

    scenario(tmp_path, play)


def test_a_pod_whose_shape_nobody_foresaw_keeps_no_other_from_running(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.create(container("web", resources={"limits": {"cpu": "a lot"}}), name="odd")
        world.create(name="even")
        await world.until(lambda: world.ready("even"))
        assert world.node is not None
        await world.until(lambda: world.node and world.node.inspect()["worker_faults"] > 1)
        assert not world.ready("odd")
        world.api.drop("pods", "default/odd")
        world.api.request_deletion("even", 0)
        await world.until(lambda: not world.api.objects["pods"])
        world.worker_faults = world.node.inspect()["worker_faults"]

    scenario(tmp_path, play)


def test_a_deadline_that_passes_while_its_pod_is_looked_at_is_kept(tmp_path: Path) -> None:
    """Time goes on between two looks at the clock, and the wall's clock is not quite the timers'."""

    async def play(world: World) -> None:
        now, dice, ahead = world.clock.wall, random.Random(1), {0.0: 0.0}

        def drifting() -> float:
            begun = world.clock.monotonic()
            if begun not in ahead:
                ahead.clear()
            ahead[begun] = ahead.get(begun, 0.0) + dice.random() * 0.001
            return now() + ahead[begun]

        world.clock.wall = drifting  # type: ignore[method-assign]
        for number in range(40):
            world.create(name=f"p{number}", activeDeadlineSeconds=3)
            await asyncio.sleep(0.137)
        failed = [f"p{number}" for number in range(40)]
        await world.until(lambda: all(world.status(name).get("reason") == "DeadlineExceeded" for name in failed), 30)

    scenario(tmp_path, play)


def test_a_grace_of_any_length_is_one_that_a_runtime_can_count() -> None:
    """The runtime counts nanoseconds in 64 bits, and so does gRPC: what is longer passes at once, for ever anew."""
    longest = 2**63 - 1
    asked = pods.grace_period_s(pod(terminationGracePeriodSeconds=longest))
    for seconds in (asked, float(longest), 1e18):
        left_s = Grace(seconds, ManualClock()).left_s
        request = cri_pb2.StopContainerRequest(container_id="c", timeout=whole_seconds(left_s))
        assert 10**8 < request.timeout < 2**63 / 10**9
    assert pods.grace_period_s(pod(terminationGracePeriodSeconds=longest)) == asked <= pods.LONGEST_GRACE_S
