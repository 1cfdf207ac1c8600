"""The drivers of the state that an API server's tests run on: one process of each for all tests of a worker."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.apiserver import states
from tests.actors.state.etcd.face_group import FaceGroup
from tests.real_etcd import RealEtcd

MEMORY = Path("/dev/shm")  # where there is one: these tests are not about disks


@pytest.fixture(scope="session")
def folder_in_memory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kubus-state-", dir=MEMORY if MEMORY.is_dir() else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def shared_actor(folder_in_memory: Path) -> Iterator[FaceGroup]:
    group = FaceGroup(folder_in_memory, tls=False)
    try:
        group.start("state@m1")
        yield group
    finally:
        group.stop()


@pytest.fixture(scope="session")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEtcd]:
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield etcd


@pytest.fixture(params=["actor", "etcd"])
def every_state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test's API store in a state actor, and once more in a real etcd."""
    if request.param == "actor":
        group: FaceGroup = request.getfixturevalue("shared_actor")
        endpoint = group.directory.work("state@m1")
        monkeypatch.setattr(states, "opened", lambda: states.emptied(states.ActorState(endpoint)))
    else:
        etcd: RealEtcd = request.getfixturevalue("shared_etcd")
        monkeypatch.setattr(states, "opened", lambda: states.emptied(states.EtcdState(etcd.endpoints)))
