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


@dataclass(frozen=True, slots=True)
class Handlers:
    """What a node's containerd is given: the first is the default. `why` is a sentence for people."""

    all: tuple[Handler, ...] = (Handler(RUNC),)
    why: str = ""

    @property
    def default(self) -> str:
        return self.all[0].name


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of trying crun: a program that works and how it is run, or a fault."""

    program: str = ""
    how: str = ""
    fault: str = ""


def choose(wanted: str, try_crun: Callable[[], Finding], has_runc: Callable[[], bool]) -> Handlers:
    """Return the handlers for what the config says: "crun", "runc", or "" for the better one. HandlerMissing."""
    found = try_crun()
    crun = (Handler(CRUN, found.program),) if found.program else ()
    runc = (Handler(RUNC),) if has_runc() else ()
    if wanted == CRUN and not crun:
        raise HandlerMissing(f"runtime_handler is crun, but {found.fault}")
    if wanted == RUNC and not runc:
        raise HandlerMissing("runtime_handler is runc, but runc is not installed")
    if wanted == RUNC:
        return Handlers((*runc, *crun), "runc, as the config says")
    if crun:
        return Handlers((*crun, *runc), found.how + (", as the config says" if wanted else ""))
    if not runc:
        raise HandlerMissing(f"runc is not installed, and {found.fault}")
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
