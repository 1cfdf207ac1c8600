"""What a runtime driver offers for streams: processes with their stdio, and where pods' networks are.

Every call may raise a `RuntimeFault`, as those of a `RuntimeDriver`. Flow control is by waiting: a process whose
output is not read is held back by its pipe, and `write` returns when the process's pipe has taken the bytes.

Neighbours: `containerd.streaming` implements it; `serving` joins it to the bus; `NoStreams` is a simulated node's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from actors.kubelet.faults import RuntimeFault


class StreamsUnsupported(RuntimeFault):
    """Nothing runs here that could be talked to."""


class Unreachable(RuntimeFault):
    """A port that nobody listens at, or an address that cannot be reached."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """Which of a process's streams are wanted. With `tty` there is no stderr: the terminal joins the two."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of output, cut anywhere."""

    data: bytes
    is_stderr: bool = False


class Process(Protocol):
    """A process from the outside. One task reads; another may write at the same time."""

    async def read(self) -> Piece | None:
        """Return the next output; None when both outputs have ended."""

    async def write(self, data: bytes) -> None:
        """Feed stdin; what the process no longer reads is dropped."""

    async def end_stdin(self) -> None:
        """Let the process see the end of its input."""

    async def resize(self, width: int, height: int) -> None:
        """Set the terminal's size; without a terminal nothing happens."""

    async def wait(self) -> int:
        """Return the exit code; to be asked after the output has ended."""

    async def close(self) -> None:
        """Let go: a command that still runs is killed, a container's own process goes on."""


class Streams(Protocol):
    async def exec(self, container_id: str, command: Sequence[str], stdio: Stdio) -> Process:
        """Start a command in a container."""

    async def attach(self, container_id: str, stdio: Stdio) -> Process:
        """Join the stdio of a container's own process."""

    async def namespace(self, sandbox_id: str) -> Path | None:
        """Return the path of a sandbox's network namespace; None when it is the node's own."""


class NoStreams:
    """The streams of a node whose containers are only imagined."""

    why = "this node is simulated: no process runs in its containers"

    async def exec(self, container_id: str, command: Sequence[str], stdio: Stdio) -> Process:
        raise StreamsUnsupported(self.why)

    async def attach(self, container_id: str, stdio: Stdio) -> Process:
        raise StreamsUnsupported(self.why)

    async def namespace(self, sandbox_id: str) -> Path | None:
        raise StreamsUnsupported(self.why)
