"""Where one pod is in its life on this node: what its worker and the worker's parts know in common.

A pod lives until something ends it: the API deletes it or lost it, its containers have all finished, or the kubelet
itself ends it (eviction, deadline, refusal, shutdown). From then on nothing is started, and what is being started is
left in the middle (`unless_ending`).
"""

import asyncio
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.status.pod_status import Ending


class Life:
    __slots__ = ("pod", "uid", "is_gone", "has_finished", "ending", "has_ended", "ending_begun", "was_cut_short")

    def __init__(self, pod: pods.Pod):
        self.pod = pod  # as the API has it
        self.uid = pods.uid(pod)
        self.is_gone = False  # the API no longer has it
        self.has_finished = False  # nothing is to be started again
        self.ending: Ending | None = None  # the kubelet's own reason to end it
        self.has_ended = False  # no process is left
        self.ending_begun = asyncio.Event()
        self.was_cut_short = False  # something was left in the middle: the runtime may have more than is known

    @property
    def must_end(self) -> bool:
        """Whether the pod is on its way out, for whichever reason."""
        if self.is_gone or self.has_finished or self.ending is not None:
            return True
        return pods.is_deleting(self.pod) or pods.is_terminal(self.pod)

    async def unless_ending(self, work: Any) -> bool:
        """Await work, or leave it when the pod begins to end; tell whether it was done (and did not say False)."""
        task = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self.ending_begun.wait())
        try:
            await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.was_cut_short = True
                task.cancel()
                await asyncio.wait((task,))
                return False
            return task.result() is not False
        finally:
            ending.cancel()
            task.cancel()
