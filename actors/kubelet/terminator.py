"""Ends containers: preStop hook, stop signal, grace, SIGKILL; a pod's sidecars after everything else.

All preStop hooks of a pod are run at once, those of its sidecars too; only what follows waits for its turn. Whose turn
does not come before the grace is over has a last moment for itself.

A grace that is shortened while a container dies (`kubectl delete --grace-period=1` after a first delete) takes effect
at once: the stop is asked for again with what is left. Raises RuntimeFault when the runtime fails; everything is
idempotent, so the worker asks again.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.observed import PodRuntime, is_running
from actors.kubelet.observer import Observer
from actors.kubelet.probes.checks import Target
from actors.kubelet.probes.hooks import HookFailed, run_hook
from actors.kubelet.runtime import ContainerStatus, RuntimeDriver
from actors.kubelet.telling import Tell
from runtime.clock import Clock

MIN_GRACE_S = 2.0  # after a hook, or others before it, used up the grace, a container still gets this long


class Grace:
    """How long is left to end something gracefully; it may only shrink."""

    def __init__(self, seconds: float, clock: Clock):
        self._clock = clock
        self._deadline = clock.monotonic() + min(seconds, pods.LONGEST_GRACE_S)
        self._shrunk = asyncio.Event()

    @property
    def left_s(self) -> float:
        return max(0.0, self._deadline - self._clock.monotonic())

    def shrink(self, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        if deadline < self._deadline:
            self._deadline = deadline
            self._shrunk.set()

    async def shrunk(self) -> None:
        await self._shrunk.wait()
        self._shrunk.clear()


class Terminator:
    def __init__(
        self, driver: RuntimeDriver, observer: Observer, tell: Tell, clock: Clock, host_ips: Sequence[str] = ()
    ):
        """`host_ips` is where pods in the node's own network are."""
        self._driver, self._observer, self._tell, self._clock = driver, observer, tell, clock
        self._host_ips = host_ips

    async def end_pod(self, pod: pods.Pod, runtime: PodRuntime, grace: Grace) -> None:
        """End every container, then every sandbox. Records and files stay."""
        sidecars = [item["name"] for item in pods.init_containers(pod) if pods.is_sidecar(item)]
        alive = runtime.running()
        ordinary = [item for item in alive if item.container.name not in sidecars]
        ends = [asyncio.ensure_future(self.end_container(pod, item, grace, "")) for item in ordinary]
        for name in reversed(sidecars):
            before = tuple(ends)
            for item in alive:
                if item.container.name == name:
                    ends.append(asyncio.ensure_future(self.end_container(pod, item, grace, "", before)))
        await _all(ends)
        for sandbox in runtime.sandboxes:
            if sandbox.sandbox.ready:
                with self._observer.looking_after(sandbox.sandbox.id):
                    await self._driver.stop_sandbox(sandbox.sandbox.id)
                await self._observer.refresh_sandbox(sandbox.sandbox.id)

    async def end_container(
        self,
        pod: pods.Pod,
        status: ContainerStatus,
        grace: Grace,
        why: str,
        before: Collection["asyncio.Task[None]"] = (),
    ) -> None:
        """End one container. `why` is for the event; empty means that its pod ends. `before` are ends to wait for."""
        name, identity = status.container.name, status.container.id
        self._tell(pod, "Normal", "Killing", why or f"Stopping container {name}", name)
        container = pods.find_container(pod, name)
        lifecycle = (container or {}).get("lifecycle") or {}
        hook, signal = lifecycle.get("preStop"), lifecycle.get("stopSignal") or ""
        had_s = grace.left_s
        if container is not None and hook and is_running(status) and had_s > 0:
            await self._pre_stop(pod, status, container, hook, grace)
        await _turn(before, grace)
        with self._observer.looking_after(identity):
            await self._stop(identity, grace, least_s=min(MIN_GRACE_S, had_s) if hook or before else 0.0, signal=signal)
        await self._observer.refresh_container(identity)

    async def _stop(self, identity: str, grace: Grace, least_s: float, signal: str) -> None:
        """Ask the runtime to stop a container; ask again when the grace shrinks."""
        while True:
            left_s = max(grace.left_s, least_s)
            stopping = asyncio.ensure_future(self._driver.stop_container(identity, left_s, signal))
            shrinking = asyncio.ensure_future(grace.shrunk())
            try:
                await asyncio.wait((stopping, shrinking), return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    stopping.result()
                    return
                least_s = 0.0
            finally:
                stopping.cancel()
                shrinking.cancel()

    async def _pre_stop(
        self, pod: pods.Pod, status: ContainerStatus, container: dict[str, Any], hook: dict[str, Any], grace: Grace
    ) -> None:
        target = Target(status.container.id, container, self._ips(pod))
        running = asyncio.ensure_future(run_hook(self._driver, target, hook, grace.left_s))
        shrinking = asyncio.ensure_future(grace.shrunk())
        try:
            await asyncio.wait((running, shrinking), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        except HookFailed as error:
            self._tell(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {error}", container["name"])
        finally:
            running.cancel()
            shrinking.cancel()

    def _ips(self, pod: pods.Pod) -> Sequence[str]:
        sandbox = self._observer.pod(pods.uid(pod)).ready_sandbox
        return pods.addresses(pod, sandbox.ips if sandbox is not None else (), self._host_ips)


async def _turn(before: Collection["asyncio.Task[None]"], grace: Grace) -> None:
    """Wait for those that end before, as long as there is time. A failure of theirs is raised here, too."""
    left = set(before)
    while left and grace.left_s > 0:
        shrinking = asyncio.ensure_future(grace.shrunk())
        try:
            await asyncio.wait({*left, shrinking}, timeout=grace.left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            shrinking.cancel()
        for end in [item for item in left if item.done()]:
            end.result()
            left.discard(end)


async def _all(ends: Iterable[Any]) -> None:
    """Wait for all; the first failure is raised after every one has ended."""
    for result in await asyncio.gather(*ends, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
