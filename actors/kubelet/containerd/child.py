"""How the supervisor runs a node's containerd: a foreign command with a config of its own.

containerd stops with its supervisor; the containers don't: each belongs to a shim that reads its pod's state from disk,
and a new containerd finds the shims again through the same `state` folder. So `root`, `state` and the socket's path
must not change while containers run.

Neighbours: `actors.cluster.compose` makes a child spec of `containerd_child`; `config` renders the file, `machine`
looks around.
"""

import functools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.api.config import ClusterConfig
from actors.kubelet.containerd import crun, handlers
from actors.kubelet.containerd.config import Machine, render
from actors.kubelet.containerd.machine import (
    CAP_SYS_RESOURCE,
    CNI_BIN_DIRS,
    CNI_PLUGINS,
    find_cni_dir,
    holds_capability,
    parse_version,
)
from actors.kubelet.containerd.places import Places, places_of
from runtime.command import SYSTEM_DIRS, find_program

VERSION_TIMEOUT_S = 10.0  # for `containerd --version`, which answers in milliseconds unless the disk is dying


class RuntimeMissing(Exception):
    """A program that a real node needs is not installed."""


def containerd_version(program: str) -> tuple[int, int]:
    """Ask containerd for its version."""
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=True
    )
    return parse_version(answer.stdout)


def this_machine(places: Places, handler: str = "") -> Machine:
    """Look at the machine; RuntimeMissing or HandlerMissing when a program is not there."""
    program = find_program("containerd")
    if program is None:
        raise RuntimeMissing("containerd is not installed")
    cni_dir = find_cni_dir()
    if cni_dir is None:
        raise RuntimeMissing(f"the CNI plugins {', '.join(CNI_PLUGINS)} are in none of {', '.join(CNI_BIN_DIRS)}")
    return Machine(
        containerd_version=containerd_version(program),
        cni_bin_dirs=(cni_dir,),
        may_lower_oom_score=holds_capability(CAP_SYS_RESOURCE, Path("/proc/self/status").read_text()),
        apparmor=find_program("apparmor_parser") is not None,
        handlers=handlers.choose(
            handler,
            lambda: crun.look(places),
            lambda: find_program(handlers.RUNC) is not None,
        ),
    )


def prepare(places: Places, handler: str = "") -> None:
    """Make the folders and write the config. Idempotent; containers that run are not disturbed."""
    for folder in (places.root, places.state, places.cni_conf, places.registry_hosts, places.run):
        folder.mkdir(parents=True, exist_ok=True)
    for private in (places.home, places.run):
        private.chmod(0o711)  # containerd's own folders below are stricter; the path must be passable for user pods
    machine = this_machine(places, handler)
    fresh = places.config.with_suffix(".new")
    fresh.write_text(render(places, machine))
    fresh.replace(places.config)
    handlers.record(places.handlers, machine.handlers)


def containerd_child(data_dir: Path, run_dir: Path, node: str, config: ClusterConfig) -> dict[str, Any]:
    """Return {command, env, socket, prepare} of a node's containerd.

    `prepare` is called before a cluster starts. `run_dir` is part of the signature that every foreign child has;
    containerd's sockets stay where `places` says, because running shims know that path.
    """
    del run_dir
    places = places_of(data_dir, node)
    program = find_program("containerd") or "containerd"
    handler = config.nodes[node].runtime_handler if node in config.nodes else ""
    prepared: Callable[[], None] = functools.partial(prepare, places, handler)
    return {
        "command": [program, "--config", str(places.config)],
        "env": containerd_env(),
        "socket": places.socket,
        "prepare": prepared,
    }


def containerd_env() -> dict[str, str]:
    """Return what containerd's environment needs beyond the supervisor's: its tools in PATH.

    Shims, runc and CNI plugins inherit it. So there is no GOGC here: a lower one would save 2 of containerd's 45 MB and
    cost every pod 10 ms of collections in programs that end anyway.
    """
    path = os.environ.get("PATH", "").split(os.pathsep)
    return {
        "PATH": os.pathsep.join([*path, *(folder for folder in SYSTEM_DIRS if folder not in path)]),
        "OTEL_SDK_DISABLED": "true",
    }
