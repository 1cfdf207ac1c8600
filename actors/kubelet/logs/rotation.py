"""Keeps the logs of running containers small: a file that grew too big is set aside, and the runtime begins a new one.

As Kubernetes' kubelet does by default: 10 MiB a file, five files a container. The name of a file that was set aside
ends in the time; the oldest goes. Readers that follow a log notice the change (`reader.LogReader.was_rotated`).

A kubelet that dies between the renaming and the runtime's reopening leaves the runtime writing to the renamed file: the
next round finds the log missing and has it reopened.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from actors.kubelet.observed import is_running
from actors.kubelet.runtime import ContainerStatus, RuntimeDriver, RuntimeFault

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 5  # of a container, the one that is being written included
CHECK_EVERY_S = 10.0


def log_files(path: Path) -> list[Path]:
    """Return a container's log files, the oldest first, the one that is being written last."""
    aside = sorted(path.parent.glob(f"{path.name}.*"))
    return [*aside, path]


def is_due(path: Path) -> bool:
    """Tell whether a running container's log needs a new file."""
    try:
        return path.stat().st_size > MAX_BYTES
    except FileNotFoundError:
        return path.parent.is_dir()


def set_aside(path: Path, wall_s: float) -> None:
    """Rename the log, and remove what is too old."""
    if path.exists():
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(wall_s))
        path.rename(path.with_name(f"{path.name}.{stamp}"))
    for old in log_files(path)[:-MAX_FILES]:
        old.unlink(missing_ok=True)


async def rotate(driver: RuntimeDriver, containers: Iterable[ContainerStatus], wall_s: float, log: Any) -> None:
    """Go through the logs of the running containers once."""
    for status in containers:
        path = Path(status.log_path)
        if not status.log_path or not is_running(status) or not is_due(path):
            continue
        set_aside(path, wall_s)
        try:
            await driver.reopen_log(status.container.id)
        except RuntimeFault as error:
            log.warning("could not reopen a container's log", path=str(path), error=str(error))


async def rotate_for_ever(
    driver: RuntimeDriver, containers: Callable[[], list[ContainerStatus]], wall: Callable[[], float], log: Any
) -> None:
    """Rotate now and then. `containers()` gives the statuses, `wall()` the time."""
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        await rotate(driver, containers(), wall(), log)
