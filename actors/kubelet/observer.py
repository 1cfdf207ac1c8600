"""What the runtime has, kept current: by its events, by asking after each own action, and by a slow relist.

Every answer of the runtime is older than the moment it arrives, so each question draws a ticket, and an answer never
overwrites that of a later ticket. Events are hints: after one, the runtime is asked until it agrees, because it may
tell of an end before its own records show it.

Neighbours: `worker` reads `pod` and is poked through `on_change`; `actor` runs `run`.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from actors.kubelet.measure import Histogram
from actors.kubelet.observed import PodRuntime, is_alive
from actors.kubelet.runtime import (
    OOM_KILLED,
    OWNER,
    Container,
    ContainerState,
    ContainerStatus,
    EventKind,
    NotInRuntime,
    PodSandbox,
    RuntimeDriver,
    RuntimeEvent,
    RuntimeFault,
    RuntimeUnreachable,
    SandboxStatus,
)
from runtime.background import spawn

RELIST_S = 20.0  # a safety net below the events
FIRST_RELIST_S = 1.0  # and soon after the first list: what an earlier kubelet asked for may still be in the making
RECONNECT_S = (0.1, 5.0)  # first and longest pause after the runtime went away
AGREE_S = (0.002, 1.0)  # first and longest pause while the runtime's records lag behind its event
ASKED_AT_ONCE = 8  # statuses at a time in a relist


class Observer:
    def __init__(
        self,
        driver: RuntimeDriver,
        on_change: Callable[[str], None],
        complete: Callable[[ContainerStatus], ContainerStatus],
        owner: str,
        log: Any,
    ):
        """`on_change(pod uid)` is called after each change; `complete` adds what the runtime does not know.

        What does not carry the owner's annotation belongs to somebody else, and is not seen.
        """
        self._driver = driver
        self._owner = owner
        self._on_change = on_change
        self._complete = complete
        self._log = log
        self._ticket = itertools.count(1)
        self._sandboxes: dict[str, SandboxStatus] = {}
        self._containers: dict[str, ContainerStatus] = {}
        self._asked: dict[str, int] = {}  # id -> ticket of the answer that is kept
        self._under_way = 0  # questions that were not answered yet
        self._gone: dict[str, int] = {}  # id -> ticket of its removal, as long as an older answer may come
        self._pods: dict[str, set[str]] = {}  # uid -> ids
        self._built: dict[str, PodRuntime] = {}
        self._looked_after: Counter[str] = Counter()
        self._expected: set[str] = set()  # made, and about to be asked for
        self._settling: set[asyncio.Task[None]] = set()
        self.relist_s, self.relist_interval_s = Histogram(), Histogram()
        self._relisted_s = 0.0  # by the loop's clock; 0: never
        self.synced = asyncio.Event()  # the first list is in
        self.reachable = False
        self.fault = "the container runtime was not asked yet"
        self.on_reachable: Callable[[], None] = lambda: None

    # -- reading

    def pod(self, uid: str) -> PodRuntime:
        found = self._built.get(uid)
        if found is None:
            ids = self._pods.get(uid, ())
            found = self._built[uid] = PodRuntime.of(
                (self._sandboxes[item] for item in ids if item in self._sandboxes),
                (self._containers[item] for item in ids if item in self._containers),
            )
        return found

    def uids(self) -> list[str]:
        return list(self._pods)

    def sandboxes(self) -> list[SandboxStatus]:
        return list(self._sandboxes.values())

    def containers(self) -> list[ContainerStatus]:
        return list(self._containers.values())

    # -- asking

    async def refresh_container(self, container_id: str) -> ContainerStatus | None:
        """Ask for one container; None when it is gone."""
        with self._question() as ticket:
            try:
                status = await self._driver.container_status(container_id)
            except NotInRuntime:
                self._drop(container_id, ticket)
                return None
            self._keep_container(self._complete(status), ticket)
        return status

    async def refresh_sandbox(self, sandbox_id: str) -> SandboxStatus | None:
        with self._question() as ticket:
            try:
                status = await self._driver.sandbox_status(sandbox_id)
            except NotInRuntime:
                self._drop(sandbox_id, ticket)
                return None
            self._keep_sandbox(status, ticket)
        return status

    @contextmanager
    def _question(self) -> Iterator[int]:
        """Around a question to the runtime and what its answer leads to; gives its ticket."""
        self._under_way += 1
        try:
            yield next(self._ticket)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._gone.clear()

    def expect(self, identity: str) -> None:
        """Note that a sandbox or container was made: from now on its events count, however early they come.

        Whoever made it asks for it afterwards. Without this, the end of a process that ends at once is lost between
        the runtime's answer ("running") and the moment when that answer is known here.
        """
        self._expected.add(identity)

    def forget(self, identity: str) -> None:
        """Note that a sandbox or container was removed; those of a removed sandbox go with it."""
        ticket = next(self._ticket)
        inside = [key for key, item in self._containers.items() if item.container.sandbox_id == identity]
        for key in (*inside, identity):
            self._drop(key, ticket)

    @contextmanager
    def looking_after(self, identity: str) -> Iterator[None]:
        """Leave events of a sandbox or container to the caller, who ends it and asks for it afterwards."""
        self._looked_after[identity] += 1
        try:
            yield
        finally:
            self._looked_after[identity] -= 1
            if not self._looked_after[identity]:
                del self._looked_after[identity]

    async def relist(self) -> None:
        """Compare everything; ask in full only for what changed."""
        begun_s = asyncio.get_running_loop().time()
        if self._relisted_s:
            self.relist_interval_s.observe(begun_s - self._relisted_s)
        self._relisted_s = begun_s
        ticket = next(self._ticket)
        state = await self._driver.list()
        there = {item.id for item in state.sandboxes} | {item.id for item in state.containers}
        for identity in [key for key in (*self._sandboxes, *self._containers) if key not in there]:
            self._drop(identity, ticket)
        sandboxes = (item for item in state.sandboxes if item.annotations.get(OWNER) == self._owner)
        containers = (item for item in state.containers if item.annotations.get(OWNER) == self._owner)
        changed: list[Any] = [self.refresh_sandbox(item.id) for item in sandboxes if self._differs_sandbox(item)]
        changed += [self.refresh_container(item.id) for item in containers if self._differs(item)]
        await _gather_bounded(changed)
        self.relist_s.observe(asyncio.get_running_loop().time() - begun_s)
        self.synced.set()

    # -- following

    async def run(self) -> None:
        """Follow the runtime for ever; when it is away, say so and try again."""
        pause_s = RECONNECT_S[0]
        while True:
            try:
                async with aclosing(await self._driver.events()) as events:
                    await self.relist()
                    self._set_reachable(True, "")
                    pause_s = RECONNECT_S[0]
                    await self._follow(events)
            except RuntimeFault as error:
                self._set_reachable(False, str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_S[1])

    async def _follow(self, events: Any) -> None:
        """Take events and relist now and then, until one of them fails; both have ended when this returns."""
        both = [asyncio.ensure_future(self._relist_for_ever()), asyncio.ensure_future(self._take(events))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        for task in done:
            task.result()
        raise RuntimeUnreachable("the container runtime's events ended")

    async def _relist_for_ever(self) -> None:
        pause_s = FIRST_RELIST_S
        while True:
            await asyncio.sleep(pause_s)
            await self.relist()
            pause_s = min(pause_s * 2, RELIST_S)

    async def _take(self, events: Any) -> None:
        async for event in events:
            if event.id in self._looked_after:
                continue
            task = spawn(self._settle(event), f"event of {event.id}")
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, event: RuntimeEvent) -> None:
        """Ask about what an event told of, until the runtime's records agree with it."""
        pause_s = AGREE_S[0]
        while True:
            try:
                agreed = await self._agrees(event)
            except RuntimeFault as error:
                self._log.debug("could not look after an event", id=event.id, error=str(error))
                return  # the relist after the reconnect finds it
            if agreed or pause_s > AGREE_S[1]:
                return
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _agrees(self, event: RuntimeEvent) -> bool:
        if event.id in self._sandboxes:
            status = await self.refresh_sandbox(event.id)
            return status is None or not status.sandbox.ready or event.kind is not EventKind.EXITED
        if event.id not in self._containers and event.id not in self._expected:
            return True  # not ours
        if event.kind is EventKind.STARTED and event.id in self._expected:
            return True  # whoever starts it here asks for it afterwards
        container = await self.refresh_container(event.id)
        if event.kind is EventKind.STARTED:
            return container is None or container.container.state is not ContainerState.CREATED
        if event.kind is EventKind.OOM:  # which may come after the end, and be put down by the runtime later still
            return container is None or container.reason == OOM_KILLED
        return container is None or event.kind is not EventKind.EXITED or not is_alive(container)

    # -- keeping

    def _differs_sandbox(self, item: PodSandbox) -> bool:
        known = self._sandboxes.get(item.id)
        return known is None or known.sandbox.ready != item.ready

    def _differs(self, item: Container) -> bool:
        known = self._containers.get(item.id)
        return known is None or known.container.state is not item.state

    def _keep_sandbox(self, status: SandboxStatus, ticket: int) -> None:
        identity = status.sandbox.id
        if self._is_outdated(identity, ticket):
            return
        self._asked[identity] = ticket
        before = self._sandboxes.get(identity)
        self._sandboxes[identity] = status
        if before != status:
            self._changed(status.sandbox.pod_uid, identity)

    def _keep_container(self, status: ContainerStatus, ticket: int) -> None:
        identity = status.container.id
        if self._is_outdated(identity, ticket):
            return
        self._asked[identity] = ticket
        self._expected.discard(identity)
        before = self._containers.get(identity)
        self._containers[identity] = status
        if before != status:
            self._changed(status.container.pod_uid, identity)

    def _is_outdated(self, identity: str, ticket: int) -> bool:
        """Tell whether a later answer of a thing is known already, or that it was removed."""
        return max(self._asked.get(identity, 0), self._gone.get(identity, 0)) > ticket

    def _drop(self, identity: str, ticket: int) -> None:
        if self._is_outdated(identity, ticket):
            return
        if self._under_way:
            self._gone[identity] = ticket
        self._expected.discard(identity)
        sandbox, container = self._sandboxes.pop(identity, None), self._containers.pop(identity, None)
        self._asked.pop(identity, None)
        uid = sandbox.sandbox.pod_uid if sandbox else container.container.pod_uid if container else ""
        if not uid:
            return
        ids = self._pods.get(uid, set())
        ids.discard(identity)
        if not ids:
            self._pods.pop(uid, None)
        self._built.pop(uid, None)
        self._on_change(uid)

    def _changed(self, uid: str, identity: str) -> None:
        self._pods.setdefault(uid, set()).add(identity)
        self._built.pop(uid, None)
        self._on_change(uid)

    def _set_reachable(self, reachable: bool, fault: str) -> None:
        turned = reachable != self.reachable
        self.reachable, self.fault = reachable, fault
        if turned:
            self._log.info("the container runtime is " + ("there" if reachable else "away"), error=fault)
            self.on_reachable()


async def _gather_bounded(coroutines: Iterable[Any]) -> None:
    slots = asyncio.Semaphore(ASKED_AT_ONCE)

    async def one(coroutine: Any) -> None:
        async with slots:
            await coroutine

    for result in await asyncio.gather(*(one(item) for item in coroutines), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
