"""The script that runs crun on machines where crun by itself would do something else than runc does.

Three things, each only where the trial (`crun`) found it wanting:

- *A unified hierarchy with controllers.* crun knows pure cgroup v1 and pure v2. Where /sys/fs/cgroup/unified is a
  cgroup2 mount beside v1's hierarchies and still has a controller, it creates no container, though it needs nothing of
  that mount. So the container is created in a mount namespace where a tmpfs covers it, which lives as long as that one
  process of crun: it makes folders there, which go with it. (Without the mount, they would stay for ever, beneath it.)
  All other mounts keep their propagation there: volumes that share mounts with the machine do so as before.
- *Flags of mounts.* From 0.19 to, at the least, Debian 12's 1.8.1, crun mounts a volume anew with the flags that it is
  asked for, and forgets those that its source is mounted with. /dev/shm is mounted with nosuid, nodev and noexec, so
  these are asked for. (Pods with volumes whose mounts have flags are left to runc: see `handlers`.)
- *HOME.* A user that the image's /etc/passwd does not know has the home /, says runc; crun means to, and reads past the
  file's end without doing so. The variable is added to what the container, and each command in it, is started with.

Start, delete and all others are run as they are; and nothing is edited for sandboxes, which hold a pause process.

crun copies itself, or mounts itself read-only for a moment, and begins anew from there, so that no container can write
to its file (CVE-2019-5736). That is a third of its CPU, and waits for the kernel to forget the mount. It spares that
where its file is on a read-only mount: so the kubelet holds one (`ReadOnly`), and the script uses it while it is there.

What can go wrong: containerd writes its JSON in another way; then nothing is found that could be changed, and
tests/actors/kubelet/containerd/test_driver_real.py fails.

Neighbours: `crun` writes it, containerd's shims run it.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from actors.kubelet.containerd.machine import CGROUP_ROOT
from actors.kubelet.containerd.places import Places
from actors.kubelet.volumes import mounting

UNIFIED = CGROUP_ROOT / "unified"
HOMELESS = "homeless"  # a file in the bundle of a container whose user has no entry in /etc/passwd

# Structure only matches structure: a quotation mark inside of a JSON text has a backslash before it.
_EDIT = r"""
{ text = text $0 }
END {
  uid = match(text, /"user":[{]"uid":[0-9]+/) ? substr(text, RSTART + 14, RLENGTH - 14) : 0
  cwd = index(text, "\"cwd\":"); env = index(text, "\"env\":[")
  if (ENVIRON["passwd"] != "-" && !(env && env < cwd && substr(text, env, cwd - env) ~ /(\[|,)"HOME=/)) {
    while (ENVIRON["passwd"] && (getline line < ENVIRON["passwd"]) > 0) {
      split(line, field, ":"); if (field[3] == uid) known = 1
    }
    if (!known) {
      if (env && env < cwd) text = substr(text, 1, env + 6) "\"HOME=/\"," substr(text, env + 7)
      else text = substr(text, 1, cwd - 1) "\"env\":[\"HOME=/\"]," substr(text, cwd)
      if (ENVIRON["mark"]) printf "" > ENVIRON["mark"]
    }
  }
  shm = "\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"" ENVIRON["state"] "/"
  if (ENVIRON["state"] && (at = index(text, shm))) {
    rest = substr(text, at); options = index(rest, "\"options\":[") + 10
    text = substr(text, 1, at - 1) substr(rest, 1, options) "\"nosuid\",\"nodev\",\"noexec\"," substr(rest, options + 1)
  }
  print text > FILENAME
}
"""


@dataclass(frozen=True, slots=True)
class Wants:
    """What crun needs done for it."""

    hide_unified: bool = False
    is_shared: bool = False  # that mount is: what is mounted on it would be so everywhere
    keep_flags: bool = False
    set_home: bool = False

    @property
    def anything(self) -> bool:
        return self.hide_unified or self.keep_flags or self.set_home


def script_of(wants: Wants, program: str, busybox: str, places: Places) -> str:
    """Return the script for one node."""
    tool, readonly = shlex.quote(busybox), shlex.quote(str(places.crun_readonly))
    create: list[str] = []
    if wants.hide_unified:
        private = f"mount --make-private {UNIFIED} && " if wants.is_shared else ""
        create += [
            'if [ -z "$IN_OWN_MOUNTS" ]; then',
            '  IN_OWN_MOUNTS=1 exec unshare --mount --propagation unchanged "$0" "$@"',
            "fi",
            f"{private}{tool} mount -t tmpfs -o mode=755 none {UNIFIED} || exit 1",
        ]
    if wants.keep_flags or wants.set_home:
        create += _edit_bundle(wants, places)
    arms = [_arm("create run", create)]
    if wants.set_home:
        homeless = f'[ -e {shlex.quote(str(places.bundles))}"/$last/{HOMELESS}" ]'
        arms.append(_arm("exec", [f'if {homeless}; then edit "$process" "" "" "" || exit 1; fi']))
    return "\n".join(
        [
            "#!/bin/sh",
            "# Written anew at each start of the cluster: edits are lost.",
            "for word; do",
            "  case $last in --bundle) bundle=$word ;; --process) process=$word ;; esac; last=$word",
            "done",
            f'edit() {{ passwd=$2 mark=$3 state=$4 {tool} awk {shlex.quote(_EDIT)} "$1"; }}',
            'case " $* " in',
            *arms,
            "esac",
            f'crun={readonly}; [ -s "$crun" ] || crun={shlex.quote(program)}',
            'exec "$crun" "$@"',
            "",
        ]
    )


def _edit_bundle(wants: Wants, places: Places) -> list[str]:
    """Where there is no /etc/passwd, crun sets HOME. A link in its place is not followed: it may lead out."""
    shown = shlex.quote(str(places.state) if wants.keep_flags else "")
    steps = ["passwd=-"]
    if wants.set_home:
        steps = [
            'passwd="$bundle/rootfs/etc/passwd"',
            '[ -f "$passwd" ] && [ ! -L "$passwd" ] && [ ! -L "$bundle/rootfs/etc" ] || passwd=-',
        ]
    steps.append(f'edit "$bundle/config.json" "$passwd" "$bundle/{HOMELESS}" {shown} || exit 1')
    sandbox = f'{shlex.quote(str(places.sandboxes))}"/$last"'
    return [f"if [ ! -d {sandbox} ]; then", *(f"  {step}" for step in steps), "fi"]


def _arm(commands: str, steps: list[str]) -> str:
    patterns = " | ".join(f'*" {command} "*' for command in commands.split())
    return "\n".join([f"{patterns})", *(f"  {step}" for step in steps), "  ;;"])


def write_script(path: Path, text: str) -> None:
    """Write the script where containerd and its shims, those of containers from before too, find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(path)


class ReadOnly:
    """crun on a read-only mount, for the script. Held by the kubelet; what a killed one left is taken over."""

    def __init__(self, place: Path):
        self._place = place

    def hold(self, program: str) -> None:
        """Mount it. OSError where that can't be; the script does without then."""
        self.let_go()
        self._place.touch()
        mounting.bind_readonly(Path(program), self._place)

    def let_go(self) -> None:
        """Unmount it; who runs it goes on."""
        mounting.unmount(self._place)
