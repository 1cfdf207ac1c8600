"""What a process has written itself is in its cache as it was answered, and only that."""

import asyncio

import pytest

from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.storage import watch_cache
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.lifetimes import Lifetimes
from actors.apiserver.storage.store import Store
from actors.apiserver.storage.watch_cache import WatchCache
from actors.state.messages import Event, KeyValue, TxnReply, TxnResult
from runtime.clock import SystemClock

KEY = b"/registry/configmaps/default/c"
VALUE = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"","name":"c"},"data":{"k":"%b"}}'


def written(data: bytes, revision: int) -> Entry:
    return Entry.of_stored(KEY, VALUE % data, revision)


def told(data: bytes, revision: int) -> list[Event]:
    return [Event(KeyValue(KEY, VALUE % data, 1, revision, 1), False)]


def cached(cache: WatchCache) -> Entry:
    return cache.at(b"/registry/configmaps/").entries[KEY]


async def loaded() -> WatchCache:
    cache = WatchCache(REGISTRY)
    cache.replace([], 10)
    return cache


def test_an_own_write_is_not_made_again():
    async def main():
        cache, own = await loaded(), written(b"mine", 11)
        cache.expect(own)
        cache.apply(told(b"mine", 11), 11)
        assert cached(cache) is own

    asyncio.run(main())


def test_another_write_of_the_key_is_that_other_one():
    async def main():
        cache, own = await loaded(), written(b"mine", 12)
        cache.expect(own)
        cache.apply(told(b"theirs", 11), 11)
        assert cached(cache).body == written(b"theirs", 11).body
        cache.apply(told(b"mine", 12), 12)
        assert cached(cache).body == own.body

    asyncio.run(main())


def test_what_was_told_of_before_it_was_answered_is_not_waited_for(monkeypatch):
    async def main():
        cache = await loaded()
        cache.apply(told(b"mine", 11), 11)
        cache.expect(written(b"mine", 11))
        assert not cache._own
        monkeypatch.setattr(watch_cache, "MAX_EXPECTED", 2)
        for revision in range(12, 20):  # of which the state never tells
            entry = written(b"lost", revision)
            entry.key += b"%d" % revision
            cache.expect(entry)
        assert len(cache._own) <= 2

    asyncio.run(main())


class Answering:
    """A state that stores everything, at revision 11."""

    async def txn(self, txn):
        return TxnReply(11, TxnResult(True, []))


@pytest.mark.parametrize(
    ("group", "plural", "waits"),
    [
        ("", "configmaps", False),
        ("", "nodes", False),
        ("", "namespaces", True),
        ("rbac.authorization.k8s.io", "rolebindings", True),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", True),
    ],
)
def test_a_write_that_decides_about_others_is_answered_when_it_is_in_the_cache(group, plural, waits):
    async def main():
        cache = await loaded()
        store = Store(Answering(), cache, Lifetimes(Answering(), SystemClock(), {}))
        resource = REGISTRY.lookup(group, "v1", plural)
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {"name": "a"}}
        writing = asyncio.ensure_future(store.create(resource, "default" if resource.namespaced else "", "a", obj))
        await asyncio.sleep(0.01)
        assert writing.done() is not waits
        cache.apply([], 11)
        assert (await writing).revision == 11

    asyncio.run(main())
