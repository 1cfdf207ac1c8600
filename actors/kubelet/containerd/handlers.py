"""Which OCI runtimes start a node's containers: crun where it works, runc beside it and where crun does not.

crun does for a container what runc does, in a third of the time: it is written in C, and has no Go runtime to start in
each of the four processes that a container's life takes. RuntimeClasses may name both as handlers; the first one is
for pods that name none.

What can go wrong: crun is not installed, or can't work on this machine; then runc does it, and the log and
`kubus doctor` say why. Where the config names a handler that can't be had, the cluster does not start.

Neighbours: `crun` tries it; `config` renders the handlers into containerd's TOML; `child` puts both together.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

CRUN, RUNC = "crun", "runc"
NAMES = (CRUN, RUNC)  # a handler's records are in a folder of its name, below containerd's state


class HandlerMissing(Exception):
    """The handler that the config asks for can't be had here, and why."""


@dataclass(frozen=True, slots=True)
class Handler:
    """An OCI runtime."""

    name: str  # as a RuntimeClass names it
    program: str = ""  # what containerd executes; empty: the program of this name in its PATH
    keeps_flags: bool = True  # a volume whose source is mounted noexec, for one, is so in the container too


@dataclass(frozen=True, slots=True)
class Handlers:
    """What a node's containerd is given: the first is the default. `why` is a sentence for people."""

    all: tuple[Handler, ...] = (Handler(RUNC),)
    why: str = ""

    @property
    def default(self) -> str:
        """For pods that name none and need nothing of their mounts."""
        return self.all[0].name

    def for_pod(self, wanted: str, needs_flags: bool) -> str:
        """Return a pod's handler: the one that its RuntimeClass wants, or the first one that keeps what it needs."""
        fitting = (handler.name for handler in self.all if handler.keeps_flags or not needs_flags)
        return wanted or next(fitting, "")

    def keep_flags(self, name: str) -> bool:
        """Return whether a handler, or the default if it has no name, keeps the flags of mounts."""
        found = (handler.keeps_flags for handler in self.all if name in ("", handler.name))
        return next(found, True)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of trying crun: a program that works and how it is run, or a fault."""

    program: str = ""
    how: str = ""
    fault: str = ""
    keeps_flags: bool = True


def choose(wanted: str, try_crun: Callable[[], Finding], has_runc: Callable[[], bool]) -> Handlers:
    """Return the handlers for what the config says: "crun", "runc", or "" for the better one. HandlerMissing."""
    found = try_crun()
    crun = (Handler(CRUN, found.program, found.keeps_flags),) if found.program else ()
    runc = (Handler(RUNC),) if has_runc() else ()
    if wanted == CRUN and not crun:
        raise HandlerMissing(f"runtime_handler is crun, but {found.fault}")
    if wanted == RUNC and not runc:
        raise HandlerMissing("runtime_handler is runc, but runc is not installed")
    if wanted == RUNC:
        return Handlers((*runc, *crun), "runc, as the config says")
    if crun and (runc or found.keeps_flags):
        return Handlers((*crun, *runc), found.how + (", as the config says" if wanted else ""))
    if not runc:
        fault = found.fault or "crun drops the flags of volumes' mounts: for pods that need them there must be runc"
        raise HandlerMissing(f"runc is not installed, and {fault}")
    return Handlers(runc, f"runc, for {found.fault}")


def record(path: Path, handlers: Handlers) -> None:
    """Write down what was chosen, for the kubelet."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"all": [asdict(handler) for handler in handlers.all], "why": handlers.why}))
    fresh.replace(path)


def recorded(path: Path) -> Handlers:
    """Return what was chosen for a containerd of ours."""
    kept = json.loads(path.read_text())
    return Handlers(tuple(Handler(**handler) for handler in kept["all"]), kept["why"])
