"""What the workers of one node share: made once by `node_kubelet`, used by every worker and its parts."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from actors.api.client import ApiClient
from actors.kubelet import pod as pods
from actors.kubelet.backoff import Backoff
from actors.kubelet.counts import Counts
from actors.kubelet.images import Images
from actors.kubelet.observer import Observer
from actors.kubelet.probes.prober import Probing
from actors.kubelet.runtime import RuntimeDriver
from actors.kubelet.starter import Starter
from actors.kubelet.status.pod_status import Ending
from actors.kubelet.status.writer import StatusWriter
from actors.kubelet.surroundings.pod_files import Files
from actors.kubelet.telling import Tell
from actors.kubelet.terminator import Terminator
from runtime.clock import Clock
from runtime.workqueue import RetryLimiter

EARLY_STATUS_S = 1.0  # a pod that takes longer to start or to end says so; a quicker one writes only its result


@dataclass(frozen=True, slots=True)
class Equipment:
    driver: RuntimeDriver
    observer: Observer
    prober: Probing
    images: Images
    files: Files
    starter: Starter
    terminator: Terminator
    writer: StatusWriter
    resize_refusal: Callable[[pods.Pod], Ending | None]  # why a pod can't have what it asks for now
    refusal: Callable[[pods.Pod], Ending | None]  # why the node does not take a new pod in
    make_room: Callable[[pods.Pod], bool]  # end others for a critical pod that was refused; tell whether that is done
    api: ApiClient
    backoff: Backoff
    limiter: RetryLimiter
    tell: Tell
    counts: Counts
    spawn: Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]
    runtime_name: Callable[[], str]
    host_ips: tuple[str, ...]
    clock: Clock
    log: Any
