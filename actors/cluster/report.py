"""What `kubus up` tells its user while the cluster comes up, and after.

The process that supervises may be another than the one at the terminal (`--detach`): then it writes its reports as JSON
lines into a pipe, and the one at the terminal prints them as if they were its own.

No progress bars: a line as each actor becomes ready, so that a log of it reads as well as a terminal. Colour only on a
terminal, and never with NO_COLOR (https://no-color.org).
"""

import json
import os
import sys
from typing import IO, Any, Protocol

from runtime.full_disk import is_full

QUIET = frozenset({"starting", "stopping", "stopped"})  # not worth a line of their own
MARKS = {
    "serving": ("✓", "32"),
    "failed": ("✗", "31"),
    "killed": ("!", "33"),
    "unhealthy": ("!", "33"),
    "exited": ("!", "33"),
}
PLAIN_MARKS = {"✓": "+", "✗": "x", "!": "!"}  # where the terminal's encoding has no better


class Report(Protocol):
    """Where reports go. `facts` are strings by name."""

    def note(self, text: str) -> None: ...
    def actor(self, name: str, what: str, detail: str) -> None: ...
    def ready(self, facts: dict[str, str]) -> None: ...
    def failed(self, message: str, status: int) -> None: ...


class ConsoleReport:
    """Reports for people. `status` is the exit status that the last failure asked for."""

    def __init__(self, out: IO[str] | None = None):
        self._out = out or sys.stdout
        self._coloured = self._out.isatty() and not os.environ.get("NO_COLOR")
        self._unicode = "utf" in (getattr(self._out, "encoding", "") or "").lower()
        self.status = 0
        self.is_ready = False

    def note(self, text: str) -> None:
        self._print(text)

    def actor(self, name: str, what: str, detail: str) -> None:
        if what in QUIET:
            return
        mark, colour = MARKS.get(what, ("·", "0"))
        if not self._unicode:
            mark = PLAIN_MARKS.get(mark, "-")
        if self._coloured:
            mark = f"\x1b[{colour}m{mark}\x1b[0m"
        self._print(f"  {mark} {name:<24} {what:<10} {detail}".rstrip())

    def ready(self, facts: dict[str, str]) -> None:
        self.is_ready = True
        self._print(f"\nReady in {facts['seconds']} s: {facts['server']}, {facts['nodes']}.")
        if facts["kubeconfig"]:
            self._print(f"\n    export KUBECONFIG={facts['kubeconfig']}\n    kubectl get nodes\n")

    def failed(self, message: str, status: int) -> None:
        self.status = status
        self._say(f"kubus: {message}", sys.stderr)

    def _print(self, line: str) -> None:
        try:
            self._say(line, self._out)
        except BrokenPipeError:  # as in `kubus up | head`: nobody reads on, and the cluster does not mind
            self._out = open(os.devnull, "w")  # noqa: SIM115 - lives as long as the report

    @staticmethod
    def _say(line: str, out: IO[str]) -> None:
        try:
            print(line, file=out, flush=True)
        except OSError as error:
            if not is_full(error):  # as in `kubus up > log`: what there is no room for is lost, and nothing else
                raise


class PipeReport:
    """Reports for another process, until it goes away."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def note(self, text: str) -> None:
        self._send("note", text)

    def actor(self, name: str, what: str, detail: str) -> None:
        self._send("actor", name, what, detail)

    def ready(self, facts: dict[str, str]) -> None:
        self._send("ready", facts)

    def failed(self, message: str, status: int) -> None:
        self._send("failed", message, status)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _send(self, kind: str, *arguments: Any) -> None:
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, json.dumps([kind, *arguments]).encode() + b"\n")
        except BrokenPipeError:
            self.close()


def relay(lines: IO[str], report: ConsoleReport) -> bool:
    """Print what another process reports, until it is ready, has failed, or is gone; return whether it is ready."""
    for line in lines:
        kind, *arguments = json.loads(line)
        getattr(report, {"note": "note", "actor": "actor", "ready": "ready", "failed": "failed"}[kind])(*arguments)
        if kind in ("ready", "failed"):
            return kind == "ready"
    return False
