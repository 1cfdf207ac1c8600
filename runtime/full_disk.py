"""A disk that is full: logs and notes are lost then, and nothing else.

What a process says and keeps for people must not end what it does for others; so who writes such things asks here
whether an error means just that there is no room, and goes on without them. Data is another matter: see `actors.state`.

Neighbours: `logging`, and of the supervisor `journal` and `records`.
"""

import errno
from typing import TextIO

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    return error.errno in NO_ROOM


class Forbearing:
    """A stream of log lines. Those for which there is no room come late or are lost; it says how many they were."""

    def __init__(self, out: TextIO):
        self._out = out
        self._lost = 0

    def write(self, text: str) -> None:
        if self._lost:
            text = f'{{"event": "lines came late or not at all: the disk was full", "lines": {self._lost}}}\n{text}'
        try:
            self._out.write(text)
            self._out.flush()
        except OSError as error:
            if not is_full(error):
                raise
            self._lost += 1
        else:
            self._lost = 0

    def flush(self) -> None:
        """Each line was flushed when it was written."""
