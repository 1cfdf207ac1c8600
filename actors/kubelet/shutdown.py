"""A graceful end of the node: pods are ended by their priority, the least first, before the kubelet itself ends.

Only where the config gives it time; otherwise pods outlive their kubelet. Ended pods fail with reason Terminated, so
that their controllers make others elsewhere. Once all pods of a group have ended, the next one begins.

Source: "Pod Priority based graceful node shutdown" of Kubernetes' documentation.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from actors.api.config import SHUTDOWN_SLACK_S, SYSTEM_CRITICAL, KubeletConfig, PriorityGrace
from actors.kubelet import pod as pods
from actors.kubelet.eviction.ranking import is_critical
from actors.kubelet.status.pod_status import Ending
from actors.kubelet.worker.worker import PodWorker

MESSAGE = "Pod was terminated in response to imminent node shutdown."


def group_of(pod: pods.Pod, groups: Sequence[PriorityGrace]) -> PriorityGrace:
    """Return the last group whose priority the pod has at least; who has less than any belongs to the first."""
    priority = SYSTEM_CRITICAL if is_critical(pod) else int(pod["spec"].get("priority") or 0)
    return next((group for group in reversed(groups) if priority >= group.priority), groups[0])


async def end_all(workers: Callable[[], Iterable[PodWorker]], config: KubeletConfig) -> None:
    """End every pod, within the config's time."""
    groups = config.shutdown_groups
    for group in groups:
        members = [item for item in workers() if group_of(item.pod, groups) is group]
        await _end(members, group.shutdown_grace_period_s)


async def _end(workers: list[PodWorker], grace_s: float) -> None:
    for worker in workers:
        worker.end(Ending("Terminated", MESSAGE, grace_s, is_disruption=True))
    try:
        async with asyncio.timeout(grace_s + SHUTDOWN_SLACK_S):
            await asyncio.gather(*(worker.told() for worker in workers))
    except TimeoutError:
        return
