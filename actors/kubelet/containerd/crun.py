"""Whether crun works on this machine, found out by running a container with it, and what it needs for that.

crun knows pure cgroup v1 and pure v2. Where /sys/fs/cgroup/unified is a cgroup2 mount beside v1's hierarchies and still
has a controller, it refuses to create a container, though it would need nothing of that mount. There it is given a view
without it: a script unshares the mount namespace, takes that one mount away in it, and becomes crun. All other mounts
keep their propagation, so volumes that share mounts with the machine do so as before; the namespace lives as long as
that one process of crun. Commands that make no cgroup (start, delete, exec) never look, and are run as they are.

What can go wrong: anything; what a container of the trial's kind says is what counts. It has the namespaces, mounts,
limits and a seccomp filter of a pod's container, and runs a program that ends at once.

Neighbours: `handlers` decides what comes of it, `actors.cluster.doctor` tells the user.
"""

import contextlib
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.kubelet.containerd import pause_profile
from actors.kubelet.containerd.handlers import CRUN, Finding
from actors.kubelet.containerd.machine import CGROUP_ROOT, find_busybox
from runtime.command import find_program

UNIFIED = CGROUP_ROOT / "unified"
TRIAL_LIMIT_S = 10.0  # a container that does nothing takes 0.02 s; on a dying disk it is better to go on with runc
TRIAL_MEMORY_BYTES = 64 * 1024 * 1024
QUOTED = 300  # characters of crun's complaint that are handed on


def look(script: Path, cgroup: str) -> Finding:
    """Try crun; `script` is where its view of the cgroups is arranged, if it needs one, `cgroup` the trial's."""
    program = find_program(CRUN)
    if program is None:
        return Finding(fault="crun is not installed")
    busybox = find_busybox()
    if busybox is None:
        return Finding(fault="crun can't be tried without a static busybox")
    hidden = controllers_of(UNIFIED)
    used, how = program, CRUN
    if hidden:
        write_script(script, program, is_shared(CGROUP_ROOT, Path("/proc/self/mountinfo").read_text()))
        used, how = str(script), f"crun, which is not shown {UNIFIED}, for that has controllers ({hidden})"
    fault = _try(used, busybox, cgroup)
    return Finding(fault=f"crun does not work here: {fault}") if fault else Finding(used, how)


def controllers_of(hierarchy: Path) -> str:
    """Return the controllers of a cgroup2 mount, separated by spaces; none where it is no such mount."""
    try:
        return (hierarchy / "cgroup.controllers").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def is_shared(mount_point: Path, mountinfo: str) -> bool:
    """Return whether what is unmounted below a mount point would be so in other namespaces, too."""
    for line in mountinfo.splitlines():
        words = line.split(" ")
        if words[4] == str(mount_point):
            return any(word.startswith("shared:") for word in words[6 : words.index("-")])
    return False


def script_of(program: str, shared: bool) -> str:
    """Return a shell script that runs crun without the sight of the unified hierarchy where it would mind it."""
    private = f"mount --make-private {CGROUP_ROOT} && " if shared else ""
    quoted = shlex.quote(program)
    steps = f'{private}umount {UNIFIED} && exec "$0" "$@"'
    return f"""#!/bin/sh
# Written anew at each start: edits are lost.
case " $* " in
*" create "* | *" run "*) exec unshare --mount --propagation unchanged /bin/sh -c {shlex.quote(steps)} {quoted} "$@" ;;
esac
exec {quoted} "$@"
"""


def write_script(path: Path, program: str, shared: bool) -> None:
    """Write the script where containerd and its shims, that of a container from before too, find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(script_of(program, shared))
    fresh.chmod(0o755)
    fresh.replace(path)


def _try(program: str, busybox: Path, cgroup: str) -> str:
    """Run a container to its end; return what went wrong."""
    with tempfile.TemporaryDirectory(prefix="kubus-crun-") as place:
        bundle = Path(place)
        (bundle / "rootfs").mkdir()
        (bundle / "config.json").write_text(json.dumps(trial(busybox, cgroup)))
        identity = f"kubus-trial-{os.getpid()}"
        words = [program, "--root", str(bundle / "records")]
        try:
            return _complaint([*words, "run", "--bundle", place, identity])
        finally:
            _complaint([*words, "delete", "--force", identity])  # there is nothing, unless it went wrong
            _remove_cgroup(cgroup)


def _complaint(words: list[str]) -> str:
    try:
        answer = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TRIAL_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"no end after {TRIAL_LIMIT_S:.0f} s"
    except OSError as error:
        return f"{error.strerror}"
    if answer.returncode == 0:
        return ""
    return (answer.stderr.strip() or f"exit status {answer.returncode}")[:QUOTED]


def _remove_cgroup(cgroup: str) -> None:
    """Remove the trial's cgroup where it is left in some hierarchy; crun removes it from those that it used."""
    tops = [CGROUP_ROOT, *(path for path in CGROUP_ROOT.iterdir() if path.is_dir())]
    for top in tops:
        with contextlib.suppress(OSError):  # it is not there, or a process that does not end is still in it
            (top / cgroup.lstrip("/")).rmdir()


def trial(busybox: Path, cgroup: str) -> dict[str, Any]:
    """Return the OCI specification of a container such as pods have, which ends at once."""
    mounts = [
        _mount("/proc", "proc"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755"),
        _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
        {"destination": "/busybox", "type": "bind", "source": str(busybox), "options": ["rbind", "rprivate", "ro"]},
    ]
    capabilities = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
    process: dict[str, Any] = {
        "user": {"uid": 0, "gid": 0},
        "args": ["/busybox", "true"],
        "env": ["PATH=/"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        "noNewPrivileges": True,
    }
    linux: dict[str, Any] = {
        "cgroupsPath": cgroup,
        "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
        "resources": {
            "devices": [{"allow": False, "access": "rwm"}],
            "memory": {"limit": TRIAL_MEMORY_BYTES},
            "cpu": {"shares": 2},
        },
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
    }
    if pause_profile.ACTIONS.exists():
        linux["seccomp"] = pause_profile.profile()
    root = {"path": "rootfs", "readonly": False}
    return {"ociVersion": "1.0.2", "process": process, "root": root, "mounts": mounts, "linux": linux}


def _mount(destination: str, kind: str, *options: str) -> Mapping[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


