"""What the observer must not miss: the runtime's answers and its events race, and either may be the older one."""

import asyncio
import dataclasses

import structlog

from actors.kubelet.observer import Observer
from actors.kubelet.runtime import (
    OOM_KILLED,
    Container,
    ContainerState,
    ContainerStatus,
    EventKind,
    RuntimeEvent,
)

RUNNING = ContainerStatus(
    Container("c1", "s1", "pod1", "p", "ns", "c", 0, ContainerState.RUNNING, "image", "image-id", 1)
)
EXITED = dataclasses.replace(RUNNING, container=dataclasses.replace(RUNNING.container, state=ContainerState.EXITED))


class SlowRuntime:
    """Its first answer is on its way while the container ends."""

    def __init__(self) -> None:
        self.now = RUNNING
        self.asked = asyncio.Event()
        self.first_may_arrive = asyncio.Event()

    async def container_status(self, container_id: str) -> ContainerStatus:
        status, is_first = self.now, not self.asked.is_set()
        self.asked.set()
        if is_first:
            await self.first_may_arrive.wait()
        return status


def observer_of(runtime: SlowRuntime) -> Observer:
    return Observer(runtime, lambda uid: None, lambda status: status, "owner", structlog.get_logger())  # type: ignore[arg-type]


async def ended_meanwhile(expected: bool) -> ContainerState:
    """A container ends between the runtime's answer ("running") and its arrival; return what is known afterwards."""
    runtime = SlowRuntime()
    observer = observer_of(runtime)
    if expected:
        observer.expect("c1")
    asking = asyncio.ensure_future(observer.refresh_container("c1"))
    await runtime.asked.wait()
    runtime.now = EXITED
    await observer._settle(RuntimeEvent(EventKind.EXITED, "c1"))
    runtime.first_may_arrive.set()
    await asking
    return observer.pod("pod1").containers[0].container.state


def test_an_end_that_overtakes_the_first_answer_is_not_lost():
    assert asyncio.run(ended_meanwhile(expected=True)) is ContainerState.EXITED


def test_events_of_what_nobody_made_here_are_left_alone():
    """The other side: without `expect` an event of an unknown id is not asked for, it may be somebody else's."""
    assert asyncio.run(ended_meanwhile(expected=False)) is ContainerState.RUNNING


class LateRuntime:
    """It puts the reason of an end down a little after it has told of it."""

    def __init__(self) -> None:
        self.answers = [EXITED, EXITED, dataclasses.replace(EXITED, reason=OOM_KILLED)]

    async def container_status(self, container_id: str) -> ContainerStatus:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_an_oom_kill_is_asked_after_until_the_runtime_has_put_it_down():
    async def scenario() -> str:
        observer = observer_of(LateRuntime())  # type: ignore[arg-type]
        observer.expect("c1")
        for kind in (EventKind.EXITED, EventKind.OOM):
            await observer._settle(RuntimeEvent(kind, "c1"))
        return observer.pod("pod1").containers[0].reason

    assert asyncio.run(scenario()) == OOM_KILLED


def test_an_answer_from_before_a_removal_does_not_bring_back_what_was_removed():
    async def scenario() -> tuple[int, int]:
        runtime = SlowRuntime()
        observer = observer_of(runtime)
        observer.expect("c1")
        runtime.first_may_arrive.set()
        await observer.refresh_container("c1")
        runtime.asked.clear()
        runtime.first_may_arrive.clear()
        asking = asyncio.ensure_future(observer.refresh_container("c1"))
        await runtime.asked.wait()
        observer.forget("c1")
        runtime.first_may_arrive.set()
        await asking
        return len(observer.containers()), len(observer._gone)

    assert asyncio.run(scenario()) == (0, 0)
