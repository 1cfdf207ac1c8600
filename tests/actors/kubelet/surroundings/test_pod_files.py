"""The files of a pod while it begins to end: who makes them is waited for, so that nothing is left behind."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from actors.kubelet.places import Places
from actors.kubelet.surroundings.objects import Objects
from actors.kubelet.surroundings.pod_files import PodFiles
from actors.kubelet.surroundings.tokens import Tokens
from actors.kubelet.volumes.claims import Claims
from runtime.clock import SystemClock
from runtime.informer import Informer
from tests.actors.kubelet.pods import pod

CLAIMED = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}


def files_of(directory: Path) -> PodFiles:
    api: Any = SimpleNamespace()
    log, clock = structlog.get_logger(), SystemClock()
    services = Informer(SimpleNamespace(), name="services", log=log, clock=clock)  # type: ignore[arg-type]
    objects = Objects(api, lambda work, name: asyncio.ensure_future(work), lambda uid: None, log, clock)
    claims = Claims(api, objects.get, lambda: None, lambda: (), lambda uid: None)
    return PodFiles(
        Places(directory), objects, claims, Tokens(api, clock, log), services, "cluster.local", (), dict, api, log
    )


def test_volumes_that_a_thread_makes_are_made_before_a_cancelled_preparation_ends(tmp_path: Path) -> None:
    begun, may_go_on, steps = threading.Event(), threading.Event(), []

    def slow(*_: Any) -> None:
        begun.set()
        assert may_go_on.wait(10)
        steps.append("made")

    async def main() -> None:
        files = files_of(tmp_path)
        files._volumes.prepare = slow  # type: ignore[method-assign]
        preparing = asyncio.ensure_future(files._prepare_volumes(pod(volumes=[CLAIMED])))
        await asyncio.to_thread(begun.wait, 10)
        preparing.cancel()
        asyncio.get_running_loop().call_later(0.02, may_go_on.set)
        await asyncio.wait((preparing,))
        steps.append("ended")
        assert preparing.cancelled()

    asyncio.run(main())
    assert steps == ["made", "ended"]
