"""Carries out what `resize` decided for a pod that runs: bounds are set in place, or containers end to be made anew."""

from collections.abc import Callable

from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.observed import PodRuntime
from actors.kubelet.resize import RETRY_S, Change, Resizing
from actors.kubelet.runtime import RuntimeFault, RuntimeUnreachable
from actors.kubelet.terminator import Grace
from actors.kubelet.worker.equipment import Equipment
from actors.kubelet.worker.life import Life


class Resizer:
    __slots__ = ("_with", "_life", "_resizing", "_report")

    def __init__(self, equipment: Equipment, life: Life, resizing: Resizing, report: Callable[[], None]):
        """`report` has the status written."""
        self._with, self._life, self._resizing, self._report = equipment, life, resizing, report

    async def resize(self, runtime: PodRuntime) -> float | None:
        """Bring running containers to what the spec asks for now, as far as the node has it.

        Returns the wall time when it is to be tried again.
        """
        resizing, with_ = self._resizing, self._with
        resizing.note(runtime)
        resizing.allocate(self._life.pod, with_.resize_refusal)
        changes = resizing.changes(self._life.pod, runtime)
        if changes or resizing.whole_is_due:
            self._report()
            await self._carry_out(changes)
            resizing.changes(self._life.pod, runtime)
        return with_.clock.wall() + RETRY_S if resizing.waits else None

    async def _carry_out(self, changes: list[Change]) -> None:
        """The pod's own bounds must never be below those of its containers: they are lifted first, and lowered last."""
        with_, whole = self._with, qos.pod_resources(self._resizing.view(self._life.pod))
        try:
            await with_.driver.resize_pod(self._life.uid, qos.without_limits(whole))
            for change in changes:
                if change.restarts:
                    grace = Grace(pods.grace_period_s(self._life.pod), with_.clock)
                    text = f"Container {change.container.container.name} resize requires restart"
                    ending = with_.terminator.end_container(self._life.pod, change.container, grace, text)
                    await self._life.unless_ending(ending)
                else:
                    await with_.driver.update_resources(change.container.container.id, change.resources)
                self._resizing.done(change)
            await with_.driver.resize_pod(self._life.uid, whole)
            self._resizing.whole_done()
        except RuntimeUnreachable:
            raise
        except RuntimeFault as error:
            self._resizing.failed(str(error))
            with_.tell(self._life.pod, "Warning", "ResizeError", f"Error resizing: {error}")
