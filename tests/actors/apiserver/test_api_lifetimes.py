"""Events go some time after they were last written; what else is stored stays."""

from typing import Any

from actors.apiserver.storage.lifetimes import SHARED_S
from tests.actors.apiserver.api_harness import Api, config_map, with_api

EVENTS = "/api/v1/namespaces/default/events"


def event(name: str) -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": "default", "name": "a"}
    return {"kind": "Event", "apiVersion": "v1", "metadata": {"name": name}, "involvedObject": about}


async def lease_of(api: Api, name: str, plural: str = "events") -> int:
    return await api.state.lease_of(f"/registry/{plural}/default/{name}".encode())


@with_api()
async def test_an_event_hangs_on_a_lease_that_others_share(api):
    await api.must("POST", EVENTS, event("a"))
    await api.must("POST", EVENTS, event("b"))
    assert api.state.granted == {await lease_of(api, "a"): 3600 + int(SHARED_S)}
    assert await lease_of(api, "b") == await lease_of(api, "a")
    api.clock.advance(SHARED_S)
    await api.must("POST", EVENTS, event("c"))
    assert await lease_of(api, "c") not in (0, await lease_of(api, "a"))


@with_api()
async def test_what_is_no_event_stays(api):
    await api.must("POST", "/api/v1/namespaces/default/configmaps", config_map("a"))
    assert api.state.granted == {}


@with_api()
async def test_a_write_begins_the_time_anew(api):
    await api.must("POST", EVENTS, event("a"))
    first = await lease_of(api, "a")
    api.clock.advance(SHARED_S)
    status, _ = await api.patch(f"{EVENTS}/a", {"count": 2})
    assert status == 200 and await lease_of(api, "a") not in (0, first)


@with_api()
async def test_watchers_see_an_event_go(api):
    await api.must("POST", EVENTS, event("a"))
    watch = await api.watch(f"{EVENTS}?watch=1")
    assert await watch.names(1) == [("ADDED", "a")]
    await api.state.revoke(await lease_of(api, "a"))
    assert await watch.names(1) == [("DELETED", "a")]
    assert (await api.get(f"{EVENTS}/a"))[0] == 404


@with_api()
async def test_a_lease_that_is_gone_before_its_time_is_replaced(api):
    await api.must("POST", EVENTS, event("a"))
    await api.state.revoke(await lease_of(api, "a"))
    status, answer = await api.post(EVENTS, event("b"))
    assert (status, answer["reason"]) == (503, "ServiceUnavailable")
    assert answer["details"]["retryAfterSeconds"] == 1
    await api.must("POST", EVENTS, event("b"))
