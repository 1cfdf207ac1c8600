"""A channel with many watchers is paced, and nobody is told twice, too early, or not at all."""

import asyncio

from actors.apiserver.storage.channel import MAX_PACE_S, PACED_WATCHERS, TOLD_IN_A_TURN, Channel
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import ADDED, OVERFLOW_LINE, CacheEvent
from actors.apiserver.storage.resource_cache import ResourceCache
from actors.apiserver.storage.selection import EVERYTHING
from actors.apiserver.storage.watcher import Watcher
from runtime import virtual_time

PREFIX = b"/registry/configmaps/"


def event(number: int) -> CacheEvent:
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"%d","name":"c%d"}}' % (number, number)
    return CacheEvent(ADDED, Entry(PREFIX + b"default/c%d" % number, body, number), None)


def seen(watcher: Watcher) -> list[int]:
    """The revisions that a watcher was told of since the last look."""
    return [int(line.split(b'"resourceVersion":"')[1].split(b'"')[0]) for line in watcher.take().splitlines()]


def joined(cache: ResourceCache, channel: Channel, count: int) -> list[Watcher]:
    watchers = [Watcher(lambda closed: None) for _ in range(count)]
    for watcher in watchers:
        cache.join(channel, watcher)
    return watchers


def test_few_watchers_are_told_at_once():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        (watcher,) = joined(cache, channel, 1)
        for number in range(1, 4):
            channel.push([event(number)], OVERFLOW_LINE)
            assert seen(watcher) == [number]

    virtual_time.run(scenario())


def test_many_watchers_are_told_the_first_at_once_and_the_rest_together():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, PACED_WATCHERS)
        for number in range(1, 6):
            channel.push([event(number)], OVERFLOW_LINE)
        assert [seen(watcher) for watcher in watchers] == [[1]] * PACED_WATCHERS
        await asyncio.sleep(MAX_PACE_S)
        assert [seen(watcher) for watcher in watchers] == [[2, 3, 4, 5]] * PACED_WATCHERS

    virtual_time.run(scenario())


def test_who_joins_is_not_told_what_is_held_back_for_the_others():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, PACED_WATCHERS)
        channel.push([event(1)], OVERFLOW_LINE)
        channel.push([event(2)], OVERFLOW_LINE)
        (late,) = joined(cache, channel, 1)
        assert seen(late) == []
        assert seen(watchers[0]) == [1, 2]

    virtual_time.run(scenario())


def test_a_bookmark_never_overtakes_what_is_held_back():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, PACED_WATCHERS)
        channel.push([event(1)], OVERFLOW_LINE)
        channel.push([event(2)], OVERFLOW_LINE)
        cache.flush(OVERFLOW_LINE)
        assert seen(watchers[3]) == [1, 2]

    virtual_time.run(scenario())


MANY = 2 * TOLD_IN_A_TURN + 1  # watchers, told in three turns


def test_others_have_their_turns_while_many_are_told():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, MANY)
        told = []
        channel.push([event(1)], OVERFLOW_LINE)
        for _ in range(3):
            told.append(sum(seen(watcher) == [1] for watcher in watchers))
            await asyncio.sleep(0)
        assert told == [TOLD_IN_A_TURN, TOLD_IN_A_TURN, 1]

    virtual_time.run(scenario())


def test_what_happens_in_the_midst_of_the_telling_comes_after_it_and_in_order():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, MANY)
        channel.push([event(1)], OVERFLOW_LINE)
        channel.push([event(2)], OVERFLOW_LINE)
        await asyncio.sleep(0)
        channel.push([event(3)], OVERFLOW_LINE)
        await asyncio.sleep(0)
        assert [seen(watcher) for watcher in watchers] == [[1]] * MANY
        await asyncio.sleep(2 * MAX_PACE_S)
        assert [seen(watcher) for watcher in watchers] == [[2, 3]] * MANY

    virtual_time.run(scenario())


def test_who_joins_or_is_flushed_in_the_midst_of_the_telling_misses_nothing_and_hears_nothing_twice():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, MANY)
        channel.push([event(1)], OVERFLOW_LINE)
        channel.push([event(2)], OVERFLOW_LINE)
        (late,) = joined(cache, channel, 1)
        assert [seen(watcher) for watcher in watchers] == [[1, 2]] * MANY
        channel.push([event(3)], OVERFLOW_LINE)
        await asyncio.sleep(2 * MAX_PACE_S)
        assert [seen(watcher) for watcher in [*watchers, late]] == [[3]] * (MANY + 1)
        channel.push([event(4)], OVERFLOW_LINE)
        cache.flush(OVERFLOW_LINE)
        assert [seen(watcher) for watcher in [*watchers, late]] == [[4]] * (MANY + 1)
        await asyncio.sleep(2 * MAX_PACE_S)
        assert not any(seen(watcher) for watcher in watchers)

    virtual_time.run(scenario())


def test_who_leaves_in_the_midst_of_the_telling_holds_up_nobody():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None)
        watchers = joined(cache, channel, MANY)
        channel.push([event(1)], OVERFLOW_LINE)
        for watcher in watchers[:-2]:
            watcher.on_close = lambda closed: cache.leave(channel, closed)
            watcher.close()
        channel.push([event(2)], OVERFLOW_LINE)
        await asyncio.sleep(2 * MAX_PACE_S)
        assert [seen(watcher) for watcher in watchers[-2:]] == [[1, 2]] * 2

    virtual_time.run(scenario())


def test_watchers_in_no_hurry_are_told_the_first_at_once_and_the_rest_together():
    async def scenario():
        cache = ResourceCache(PREFIX, {})
        channel = cache.channel(PREFIX, EVERYTHING, "json", None, unhurried=True)
        hurried = cache.channel(PREFIX, EVERYTHING, "json", None)
        assert channel is not hurried
        (watcher,), (other,) = joined(cache, channel, 1), joined(cache, hurried, 1)
        for number in range(1, 4):
            channel.push([event(number)], OVERFLOW_LINE)
            hurried.push([event(number)], OVERFLOW_LINE)
            assert seen(other) == [number]
        assert seen(watcher) == [1]
        await asyncio.sleep(MAX_PACE_S)
        assert seen(watcher) == [2, 3]

    virtual_time.run(scenario())
