"""What a real node needs on its machine, what of it is missing, and `--install-missing`: apt-get for Debian and Ubuntu.

Nothing that is installed here is left running by us: Debian's containerd package starts a system containerd where
systemd runs. That one is left alone and never used; Kubus' own has a socket, root and state of its own.

What only makes things better (crun) is installed along where the distribution has it, and is never in the way.

What can go wrong: no apt (another distribution), no root, no network, a package database locked by another apt. Each is
an `InstallError` of one line that says what to do.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.kubelet.containerd.machine import CNI_PLUGINS, find_busybox, find_cni_dir
from runtime.command import find_program

APT_LOCK_WAIT_S = 120  # unattended upgrades hold dpkg's lock for a minute or two
APT_TIMEOUT_S = 900.0  # for one run of apt-get on a slow line
LOOK_UP_TIMEOUT_S = 30.0  # in lists that are here
APT_LISTS = Path("/var/lib/apt/lists")


class InstallError(Exception):
    """What could not be installed, and why, in one line."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a real node needs."""

    name: str
    purpose: str
    package: str  # Debian's and Ubuntu's
    present: Callable[[], bool]
    optional: bool = False  # real nodes work without it, less well


def _program(name: str) -> Callable[[], bool]:
    return lambda: find_program(name) is not None


NEEDS = (
    Need("containerd", "runs the containers", "containerd", _program("containerd")),
    Need("ctr", "loads image archives", "containerd", _program("ctr")),
    Need("runc", "starts a container's process", "runc", _program("runc")),
    Need("crun", "starts a container's process in a third of runc's time", "crun", _program("crun"), optional=True),
    Need("nft", "makes Services and the pod network's rules", "nftables", _program("nft")),
    Need("ip", "makes the pod network's bridge", "iproute2", _program("ip")),
    Need(
        f"CNI plugins ({', '.join(CNI_PLUGINS)})",
        "connect pods to the network",
        "containernetworking-plugins",
        lambda: find_cni_dir() is not None,
    ),
    Need(
        "a static busybox",
        "is the content of kubus.local/toolbox",
        "busybox-static",
        lambda: find_busybox() is not None,
    ),
)


def missing(*, optional: bool = False) -> list[Need]:
    """Return what real nodes must have and is not there; or what they only gain by."""
    return [need for need in NEEDS if need.optional is optional and not need.present()]


def packages_of(needs: Sequence[Need]) -> list[str]:
    """Return the packages for some needs, each once."""
    return list(dict.fromkeys(need.package for need in needs))


def sentence(needs: Sequence[Need], root: bool, apt: bool) -> str:
    """Return one line on what is missing and how to get it; empty when nothing is."""
    if not needs:
        return "" if root else "real nodes need root: run `sudo kubus up`"
    names = ", ".join(need.name for need in needs)
    packages = " ".join(packages_of(needs))
    if apt and root:
        how = f"`kubus up --install-missing`, or `apt-get install {packages}`"
    elif apt:
        how = f"`sudo kubus up --install-missing`, or `sudo apt-get install {packages}`"
    else:
        how = f"install what Debian calls {packages}"
    return f"real nodes need {names}: {how}"


def explain_missing() -> str:
    """Return that line for this machine and user."""
    return sentence(missing(), root=os.geteuid() == 0, apt=find_program("apt-get") is not None)


def install_missing(report: Callable[[str], None] = lambda line: None) -> list[str]:
    """Install what is missing; returns the packages. `report` gets a line for each step. Raises InstallError."""
    packages = _install_needed(report)
    better = packages_of(missing(optional=True))
    if os.geteuid() != 0 or find_program("apt-get") is None:
        return packages
    if not better or not all(_is_offered(package) for package in better):
        return packages
    try:
        _install_reporting(better, report)
    except InstallError as error:
        report(f"going on without {' '.join(better)}: {error}")
        return packages
    return [*packages, *better]


def _is_offered(package: str) -> bool:
    """Whether the distribution has a package, as far as the lists here tell."""
    try:
        answer = subprocess.run(["apt-cache", "-q", "show", package], capture_output=True, timeout=LOOK_UP_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _install_needed(report: Callable[[str], None]) -> list[str]:
    packages = packages_of(missing())
    if not packages:
        return []
    if os.geteuid() != 0:
        raise InstallError(f"only root can install {' '.join(packages)}")
    if find_program("apt-get") is None:
        raise InstallError(f"this machine has no apt-get; install what Debian calls {' '.join(packages)} by hand")
    _install_reporting(packages, report)
    still = missing()
    if still:
        raise InstallError(f"{still[0].name} is still missing after the installation of {still[0].package}")
    return packages


def _install_reporting(packages: Sequence[str], report: Callable[[str], None]) -> None:
    if not _lists_known():
        report("apt-get update")
        _apt("update")
    report(f"apt-get install {' '.join(packages)}")
    try:
        _install(packages)
    except InstallError:
        report("apt-get update")  # the lists may be older than the archive
        _apt("update")
        _install(packages)


def _install(packages: Sequence[str]) -> None:
    _apt("install", "--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", *packages)


def _lists_known() -> bool:
    return APT_LISTS.is_dir() and any(
        path.name.endswith(("_Packages", "_Packages.lz4")) for path in APT_LISTS.iterdir()
    )


def _apt(*arguments: str) -> None:
    """Run apt-get without questions; InstallError holds the last line of its complaint."""
    command = ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={APT_LOCK_WAIT_S}", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "NEEDRESTART_MODE": "l"}
    try:
        answer = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=APT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"apt-get {arguments[0]} did not finish in {APT_TIMEOUT_S:.0f} s") from error
    if answer.returncode:
        raise InstallError(f"apt-get {arguments[0]} failed: {complaint(answer.stdout, answer.stderr)}")


def complaint(stdout: str, stderr: str) -> str:
    """Return apt's own word for what went wrong: its first line that begins with E:, else the last one it wrote."""
    lines = [line.strip() for line in (stderr + "\n" + stdout).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("E:")), lines[-1] if lines else "no reason given")
