"""Whether the real tier can run here, and the installation of what it lacks.

A module of its own, so that its one state is shared by the conftest and by every test that imports it.
"""

import functools
import os
import sys
import tempfile
from pathlib import Path

import pytest

TURN = Path(tempfile.gettempdir()) / "kubus-tests-install.lock"


@functools.cache
def install_missing() -> str:
    """Install what containers need and is missing, as `kubus up` would; return why that did not work, or nothing.

    Called before the clusters of tests are made: they live in network namespaces, from which no package can be had.
    Test processes take turns, since packages are installed by one at a time.
    """
    import fcntl  # not everywhere

    from actors.cluster import install

    with TURN.open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            install.install_missing(print)
        except install.InstallError as error:
            return str(error)
    return ""


def why_not_real() -> str:
    """Return why a cluster with containerd can't be made here, or nothing."""
    if sys.platform != "linux":
        return "containers need Linux"
    if os.geteuid() != 0:
        return "containers need root"
    return install_missing()


def need_real() -> None:
    """Skip a test where the real tier can't run; in CI that is a failure."""
    if reason := why_not_real():
        if os.environ.get("CI"):
            pytest.fail(f"the real tier must run in CI, but: {reason}")
        pytest.skip(f"real tier: {reason}")
