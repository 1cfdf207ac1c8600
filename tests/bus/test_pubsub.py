"""Hints, and how a subscriber notices what it missed."""

import asyncio

from bus import Publisher, Subscriber, ipc_endpoint, pubsub


async def subscribed(publisher, topic):
    async with asyncio.timeout(5):
        while not publisher.wanted(topic):
            await asyncio.sleep(0.005)


def test_a_hint_arrives_and_a_restart_shows_as_a_gap(tmp_path):
    async def scenario():
        endpoint = ipc_endpoint(tmp_path, "test@a", "events")
        publisher = Publisher("test@a", endpoint)
        publisher.start()
        subscriber = Subscriber([endpoint], ["test."])
        await subscribed(publisher, "test.x")
        publisher.publish("test.x", {"n": 1})
        publisher.publish("other", {"n": 2})
        publisher.publish("test.x", {"n": 3})
        first, second = await subscriber.__anext__(), await subscriber.__anext__()
        assert [(h.body, h.gap) for h in (first, second)] == [({"n": 1}, False), ({"n": 3}, False)]
        publisher.close()
        reborn = Publisher("test@a", endpoint)
        reborn.start()
        await subscribed(reborn, "test.x")
        reborn.publish("test.x", {"n": 4})
        third = await subscriber.__anext__()
        assert (third.body, third.gap) == ({"n": 4}, True)
        subscriber.close()
        reborn.close()

    asyncio.run(scenario())


def test_a_bookmark_reveals_that_the_last_hint_was_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(pubsub, "BOOKMARK_EVERY_S", 0.02)

    async def scenario():
        endpoint = ipc_endpoint(tmp_path, "test@a", "events")
        publisher = Publisher("test@a", endpoint)
        publisher.start()
        subscriber = Subscriber([endpoint], ["t"])
        await subscribed(publisher, "t")
        publisher.publish("t", 1)
        assert (await subscriber.__anext__()).body == 1
        publisher._sequences["t"] += 1  # a hint that the network lost
        lost = await subscriber.__anext__()
        assert (lost.body, lost.gap) == (None, True)
        subscriber.close()
        publisher.close()

    asyncio.run(scenario())
