"""The message that a container leaves when it ends: its termination log, or the end of its log after a failure.

Neighbours: `observer` asks for each container that ended; `pod_files` mounted the file.
"""

import dataclasses
import os
from pathlib import Path

from actors.kubelet.logs.reader import tail_text
from actors.kubelet.places import Places
from actors.kubelet.runtime import TERMINATION_MESSAGE_POLICY, ContainerState, ContainerStatus

MAX_MESSAGE_BYTES = 4096  # of a termination log, as the API promises
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80  # of a log that stands in for it


def with_message(status: ContainerStatus, places: Places) -> ContainerStatus:
    """Return the status of a container that ended with its message."""
    container = status.container
    if container.state is not ContainerState.EXITED or status.message:
        return status
    message = _head(places.termination_log(container.pod_uid, container.name, container.attempt))
    wants_log = container.annotations.get(TERMINATION_MESSAGE_POLICY) == "FallbackToLogsOnError"
    if not message and wants_log and status.exit_code and status.log_path:
        message = tail_text(Path(status.log_path), FALLBACK_LINES, FALLBACK_BYTES)
    return dataclasses.replace(status, message=message) if message else status


def _head(path: Path) -> str:
    """Return the beginning of a file that a container could have made anything of: no link, no pipe is followed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""  # never written: the container did not start, or its files are gone
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_MESSAGE_BYTES).decode(errors="replace")
