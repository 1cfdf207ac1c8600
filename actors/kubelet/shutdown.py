"""A graceful end of the node: pods are ended by their priority, the least first, before the kubelet itself ends.

Only where the config gives it time; otherwise pods outlive their kubelet. Ended pods fail with reason Terminated, so
that their controllers make others elsewhere. Once all pods of a group have ended, the next one begins.

Source: "Pod Priority based graceful node shutdown" of Kubernetes' documentation.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from actors.api.config import KubeletConfig, PriorityGrace
from actors.kubelet import pod as pods
from actors.kubelet.eviction.ranking import SYSTEM_CRITICAL, is_critical
from actors.kubelet.status.pod_status import Ending
from actors.kubelet.worker.worker import PodWorker

MESSAGE = "Pod was terminated in response to imminent node shutdown."
SLACK_S = 2.0  # beyond the grace: SIGKILL, and the final status


def groups_of(config: KubeletConfig) -> list[PriorityGrace]:
    """Return who is ended with whom and within which time, the first to go first; nothing where pods outlive the node's
    kubelet."""
    if config.shutdown_grace_period_by_pod_priority:
        return sorted(config.shutdown_grace_period_by_pod_priority, key=lambda group: group.priority)
    whole_s = config.shutdown_grace_period_s
    if not whole_s:
        return []
    critical_s = min(config.shutdown_grace_period_critical_pods_s, whole_s)
    return [PriorityGrace(0, whole_s - critical_s), PriorityGrace(SYSTEM_CRITICAL, critical_s)]


def group_of(pod: pods.Pod, groups: Sequence[PriorityGrace]) -> PriorityGrace:
    """Return the last group whose priority the pod has at least; who has less than any belongs to the first."""
    priority = SYSTEM_CRITICAL if is_critical(pod) else int(pod["spec"].get("priority") or 0)
    return next((group for group in reversed(groups) if priority >= group.priority), groups[0])


async def end_all(workers: Callable[[], Iterable[PodWorker]], config: KubeletConfig) -> None:
    """End every pod, within the config's time."""
    groups = groups_of(config)
    for group in groups:
        members = [item for item in workers() if group_of(item.pod, groups) is group]
        await _end(members, group.shutdown_grace_period_s)


async def _end(workers: list[PodWorker], grace_s: float) -> None:
    for worker in workers:
        worker.end(Ending("Terminated", MESSAGE, grace_s, is_disruption=True))
    try:
        async with asyncio.timeout(grace_s + SLACK_S):
            await asyncio.gather(*(worker.told() for worker in workers))
    except TimeoutError:
        return
