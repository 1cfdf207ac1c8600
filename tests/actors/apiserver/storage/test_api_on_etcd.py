"""The API server's own tests once more, with a real etcd in the place of the state actor's machine.

Those that reach into that machine, to break it at a chosen moment, are left to it.
"""

import contextlib
import inspect
import re
from pathlib import Path

import pytest

from actors.apiserver.storage.etcd.client import EtcdStateClient
from actors.apiserver.storage.etcd.peers import Peers
from actors.state.messages import DeleteRange, Put, Txn
from tests.actors.apiserver import (
    api_harness,
    test_api_apply,
    test_api_reads,
    test_api_subresources,
    test_api_verbs,
)
from tests.real_etcd import RealEtcd

MEMORY = re.compile(r"\.state\.|resourceVersion=1\b")  # what only a state in memory, or a new one, offers


def _tests():
    for module in (test_api_verbs, test_api_reads, test_api_subresources, test_api_apply):
        for name, function in vars(module).items():
            inner = inspect.getclosurevars(function).nonlocals.get("test") if inspect.isfunction(function) else None
            if name.startswith("test_") and inner is not None and not MEMORY.search(inspect.getsource(inner)):
                yield pytest.param(function, id=name.removeprefix("test_"))


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    etcd = RealEtcd(tmp_path_factory.mktemp("etcd"))
    try:
        yield etcd.start()
    finally:
        etcd.stop()


@pytest.mark.parametrize("test", list(_tests()))
def test_on_etcd(test, etcd, monkeypatch):
    serving_from_memory = api_harness.serving

    @contextlib.asynccontextmanager
    async def serving(**options):
        state = EtcdStateClient(Peers(etcd.endpoints, None, Path()))
        state.hold = None  # nothing is held back here
        emptied = await state.txn(Txn([], [Put(b"/empty", b""), DeleteRange(b"/registry/", b"/registry0")]))
        await state.compact(emptied.revision)  # so that the cache does not begin with what was there before
        try:
            async with serving_from_memory(state, **options) as api:
                yield api
        finally:
            await state.close()

    monkeypatch.setattr(api_harness, "serving", serving)
    test()
