"""A graceful end of the node: pods are ended, critical ones last, before the kubelet itself ends.

Only where the config gives it time; otherwise pods outlive their kubelet. Ended pods fail with reason Terminated, so
that their controllers make others elsewhere.
"""

import asyncio
from collections.abc import Callable, Iterable

from actors.api.config import KubeletConfig
from actors.kubelet.eviction.ranking import is_critical
from actors.kubelet.status import Ending
from actors.kubelet.worker.worker import PodWorker

MESSAGE = "Pod was terminated in response to imminent node shutdown."
SLACK_S = 2.0  # beyond the grace: SIGKILL, and the final status


async def end_all(workers: Callable[[], Iterable[PodWorker]], config: KubeletConfig) -> None:
    """End every pod, within the config's time."""
    critical_s = min(config.shutdown_grace_period_critical_pods_s, config.shutdown_grace_period_s)
    await _end([item for item in workers() if not is_critical(item.pod)], config.shutdown_grace_period_s - critical_s)
    await _end([item for item in workers() if is_critical(item.pod)], critical_s)


async def _end(workers: list[PodWorker], grace_s: float) -> None:
    for worker in workers:
        worker.end(Ending("Terminated", MESSAGE, grace_s, is_disruption=True))
    try:
        async with asyncio.timeout(grace_s + SLACK_S):
            await asyncio.gather(*(worker.told() for worker in workers))
    except TimeoutError:
        return
