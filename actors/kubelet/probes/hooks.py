"""Lifecycle hooks: postStart and preStop, by exec, HTTP or sleep.

Neighbours: `starter` runs postStart and kills the container when it fails; `terminator` runs preStop within the grace.
"""

import asyncio
from typing import Any

from actors.kubelet.probes.checks import Target, check
from actors.kubelet.runtime import RuntimeDriver

POST_START_LIMIT_S = 3600.0  # the API sets none; a hook that hangs for an hour never ends


class HookFailed(Exception):
    """A hook did not do its work; the message is for an event."""


async def run_hook(driver: RuntimeDriver, target: Target, hook: dict[str, Any], timeout_s: float) -> None:
    """Run one handler to its end; HookFailed when it fails or takes too long."""
    if hook.get("sleep"):
        await asyncio.sleep(min(float(hook["sleep"]["seconds"]), timeout_s))
        return
    try:
        async with asyncio.timeout(timeout_s):
            outcome = await check(driver, target, hook, timeout_s)
    except TimeoutError as error:
        raise HookFailed(f"did not finish within {timeout_s:g}s") from error
    if not outcome.passed:
        raise HookFailed(outcome.message)
