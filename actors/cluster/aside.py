"""Work done in a process of its own beside this one, while this one goes on: keys and certificates at a start.

It saves their time, for there is a second core, and their memory: what such work imports (the cryptography library) is
gone with its process instead of staying in the supervisor for ever. Only for a process without threads and loops.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

MESSAGE_BYTES = 65536  # of the failure's description that is handed over


class AsideFailed(Exception):
    """The work failed; the message is its error's."""


class Aside:
    """Functions that are called in order in a forked process. `wait` before using what they make."""

    def __init__(self, functions: Sequence[Callable[[], Any]]):
        self._reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._reader)
            _work(functions, writer)
        os.close(writer)

    def wait(self) -> None:
        """Block until it is done; AsideFailed when it failed."""
        with os.fdopen(self._reader, "rb") as reader:
            message = reader.read(MESSAGE_BYTES).decode(errors="replace")
        _, status = os.waitpid(self._pid, 0)
        if status != 0:
            raise AsideFailed(message or f"ended with status {status}")


def _work(functions: Sequence[Callable[[], Any]], writer: int) -> None:
    status = 1
    try:
        for function in functions:
            function()
        status = 0
    except Exception as error:  # noqa: BLE001 - the last frame of this process; its parent raises the message
        expected = not isinstance(error, (AssertionError, AttributeError, TypeError, NameError, LookupError))
        os.write(writer, (str(error) if expected else traceback.format_exc()).encode()[:MESSAGE_BYTES])
    finally:
        os._exit(status)
