"""How the supervisor runs a node's containerd: a foreign command with a config of its own.

containerd stops with its supervisor; the containers don't: each belongs to a shim that reads its pod's state from disk,
and a new containerd finds the shims again through the same `state` folder. So `root`, `state` and the socket's path
must not change while containers run.

Neighbours: `actors.cluster.compose` makes a child spec of `containerd_child`; `config` renders the file, `machine`
looks around.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.api.config import ClusterConfig
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


def this_machine() -> Machine:
    """Look at the machine; RuntimeMissing when a program is not there."""
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
    )


def prepare(places: Places) -> None:
    """Make the folders and write the config. Idempotent; containers that run are not disturbed."""
    for folder in (places.root, places.state, places.cni_conf, places.registry_hosts, places.run):
        folder.mkdir(parents=True, exist_ok=True)
    for private in (places.home, places.run):
        private.chmod(0o711)  # containerd's own folders below are stricter; the path must be passable for user pods
    text = render(places, this_machine())
    fresh = places.config.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(places.config)


def containerd_child(data_dir: Path, run_dir: Path, node: str, config: ClusterConfig) -> dict[str, Any]:
    """Return {command, env, socket, prepare} of a node's containerd.

    `prepare` is called before each start. `run_dir` and `config` are part of the signature that every foreign child
    has; containerd's sockets stay where `places` says, because running shims know that path.
    """
    del run_dir, config
    places = places_of(data_dir, node)
    program = find_program("containerd") or "containerd"
    prepared: Callable[[], None] = lambda: prepare(places)  # noqa: E731 - a name would only repeat the key
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
