"""What takes a minute of its own goes on while other tests of etcd's clients run."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.actors.state.etcd.face_group import FaceGroup


@pytest.fixture(scope="session")
def check_perf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen]:
    """`etcdctl check perf` against a state actor of its own; it takes a minute, whatever the load."""
    group = FaceGroup(tmp_path_factory.mktemp("perf"))
    try:
        group.start("state@m1")
        command = group.command("check", "perf", "--load=s")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        yield process
        process.kill()
        process.communicate()
    finally:
        group.stop()
