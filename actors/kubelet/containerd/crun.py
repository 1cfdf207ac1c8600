"""Whether crun works on this machine, and as runc does: found out by running a container with it.

The container has the namespaces, mounts, limits and the seccomp filter of a pod's, and says by its exit status what it
found: whether a mount that could not be written still can't, and whether its user, whom no /etc/passwd knows, has a
home. What is wanting there is made up for by a script (`crun_script`) that runs crun. If a container can't be run at
all, pods are left to runc.

Neighbours: `handlers` decides what comes of it, `actors.cluster.doctor` tells the user.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.kubelet.containerd import pause_profile
from actors.kubelet.containerd.crun_script import UNIFIED, Wants, script_of, write_script
from actors.kubelet.containerd.handlers import CRUN, Finding
from actors.kubelet.containerd.machine import CGROUP_ROOT, find_busybox
from actors.kubelet.containerd.places import Places
from actors.kubelet.volumes import mounting
from runtime.command import find_program

TRIAL_LIMIT_S = 10.0  # a container that does nothing takes 0.02 s; on a dying disk it is better to go on with runc
TRIAL_MEMORY_BYTES = 64 * 1024 * 1024
TRIAL_USER = 54321  # not in the trial's /etc/passwd
QUOTED = 300  # characters of crun's complaint that are handed on
RAN, FLAGS_KEPT, HAS_HOME = 64, 1, 2  # the trial's exit status: their sum; no runtime fails with such a one
LOOK_AROUND = f"""s={RAN}
(: > /kept/file) 2>/dev/null || s=$((s + {FLAGS_KEPT}))
[ "$HOME" = / ] && s=$((s + {HAS_HOME}))
exit $s"""


def look(places: Places) -> Finding:
    """Try crun, in a cgroup of the node's own; the script by which it is run, if it needs one, is written."""
    program, busybox = find_program(CRUN), find_busybox()
    if program is None:
        return Finding(fault="crun is not installed")
    if busybox is None:
        return Finding(fault="crun can't be tried without a static busybox")
    hidden = controllers_of(UNIFIED)
    shared = is_shared(UNIFIED, Path("/proc/self/mountinfo").read_text())
    wants = Wants(hide_unified=bool(hidden), is_shared=shared)
    try:
        beside = places.crun_script.with_suffix(".trial")  # containers that run may need the script as it is
        try:
            said, fault = _try(_arranged(wants, program, busybox, places, beside), busybox, places.trial_cgroup)
        finally:
            beside.unlink(missing_ok=True)
        if fault:
            return Finding(fault=f"crun does not work here: {fault}")
        keeps_flags = bool(said & FLAGS_KEPT)
        wants = Wants(bool(hidden), shared, keep_flags=not keeps_flags, set_home=not said & HAS_HOME)
        used = _arranged(wants, program, busybox, places, places.crun_script)
    except OSError as error:
        return Finding(fault=f"crun can't be tried: {error}")
    return Finding(used, in_words(wants, hidden), keeps_flags=keeps_flags)


def _arranged(wants: Wants, program: str, busybox: Path, places: Places, script: Path) -> str:
    """Return the program to run; writes the script where one is needed."""
    if not wants.anything:
        return program
    write_script(script, script_of(wants, program, str(busybox), places))
    return str(script)


def in_words(wants: Wants, hidden: str) -> str:
    """Return what is done for crun as a sentence."""
    done = [f"is not shown {UNIFIED}, for that has controllers ({hidden})"] if wants.hide_unified else []
    done += ["is told of the flags of /dev/shm, which it would drop"] if wants.keep_flags else []
    done += ["is told the home of users that /etc/passwd does not know"] if wants.set_home else []
    return f"{CRUN}, which {'; '.join(done)}" if done else CRUN


def controllers_of(hierarchy: Path) -> str:
    """Return the controllers of a cgroup2 mount, separated by spaces; none where it is no such mount."""
    try:
        return (hierarchy / "cgroup.controllers").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def is_shared(mount_point: Path, mountinfo: str) -> bool:
    """Return whether what is mounted on a mount would be so in other namespaces, too."""
    for line in mountinfo.splitlines():
        words = line.split(" ")
        if words[4] == str(mount_point):
            return any(word.startswith("shared:") for word in words[6 : words.index("-")])
    return False


def _try(program: str, busybox: Path, cgroup: str) -> tuple[int, str]:
    """Run a container to its end; return what it found, or what went wrong. OSError where nothing can be mounted."""
    with tempfile.TemporaryDirectory(prefix="kubus-crun-") as place:
        bundle, kept = Path(place), Path(place) / "kept"
        for folder in (bundle / "rootfs" / "etc", bundle / "layer", kept):
            folder.mkdir(parents=True)
        (bundle / "rootfs" / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (bundle / "config.json").write_text(json.dumps(trial(busybox, kept, cgroup), separators=(",", ":")))
        identity = f"kubus-trial-{os.getpid()}"
        words = [program, "--root", str(bundle / "records")]
        try:
            mounting.mount_layers([str(bundle / "layer")], kept)
            status, complaint = _run([*words, "run", "--bundle", place, identity])
            return (status - RAN, "") if RAN <= status <= RAN + FLAGS_KEPT + HAS_HOME else (0, complaint)
        finally:
            mounting.unmount(kept)
            _run([*words, "delete", "--force", identity])  # there is nothing, unless it went wrong
            _remove_cgroup(cgroup)


def _run(words: Sequence[str]) -> tuple[int, str]:
    """Return a program's exit status and complaint."""
    try:
        answer = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TRIAL_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end after {TRIAL_LIMIT_S:.0f} s"
    return answer.returncode, (answer.stderr.strip() or f"exit status {answer.returncode}")[:QUOTED]


def _remove_cgroup(cgroup: str) -> None:
    """Remove the trial's cgroup where it is left in some hierarchy; crun removes it from those that it used."""
    tops = [CGROUP_ROOT, *(path for path in CGROUP_ROOT.iterdir() if path.is_dir())]
    for top in tops:
        with contextlib.suppress(OSError):  # it is not there, or a process that does not end is still in it
            (top / cgroup.lstrip("/")).rmdir()


def trial(busybox: Path, kept: Path, cgroup: str) -> dict[str, Any]:
    """Return the OCI specification of a container such as pods have, which looks around and ends."""
    mounts = [
        _mount("/proc", "proc"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755"),
        _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
        {**_mount("/busybox", "bind", "rbind", "rprivate", "ro"), "source": str(busybox)},
        {**_mount("/kept", "bind", "rbind", "rprivate", "rw"), "source": str(kept)},
    ]
    capabilities = ["CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE"]
    process: dict[str, Any] = {
        "user": {"uid": TRIAL_USER, "gid": TRIAL_USER},
        "args": ["/busybox", "sh", "-c", LOOK_AROUND],
        "env": ["PATH=/"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), capabilities),
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
