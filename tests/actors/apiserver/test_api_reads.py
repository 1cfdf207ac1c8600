"""list, get and watch: order, freshness, pages, selectors, forms, and what a watch tells and when it refuses."""

import asyncio

import orjson

from actors.apiserver import reads
from actors.apiserver.storage import resource_cache, watcher
from bus import Unavailable
from tests.actors.apiserver import states
from tests.actors.apiserver.api_harness import config_map, on_every_state, pod, serving, with_account, with_api

CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def make(api, *names: str, **options) -> None:
    """Create some; return when the cache has them, unless it is held back."""
    for name in names:
        await api.must("POST", CMS, config_map(name, **options))
    if api.state.hold is None:
        await api.server.barrier.fresh()


def names(answer: dict) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


@with_api()
async def test_list_is_in_order_of_names_and_of_one_namespace(api):
    await make(api, "b", "a", "c")
    await api.must("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("other"))
    answer = await api.must("GET", CMS)
    assert (answer["kind"], answer["apiVersion"], names(answer)) == ("ConfigMapList", "v1", ["a", "b", "c"])
    assert names(await api.must("GET", "/api/v1/configmaps")) == ["a", "b", "c", "other"]
    assert names(await api.must("GET", "/api/v1/namespaces/none/configmaps")) == []


@with_api()
async def test_pages_are_of_one_revision(api):
    await make(api, *"abcde")
    first = await api.must("GET", f"{CMS}?limit=2")
    assert names(first) == ["a", "b"] and first["metadata"]["remainingItemCount"] == 3
    await make(api, "bb")
    await api.must("DELETE", f"{CMS}/c")
    second = await api.must("GET", f"{CMS}?limit=2&continue={first['metadata']['continue']}")
    assert names(second) == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = await api.must("GET", f"{CMS}?limit=2&continue={second['metadata']['continue']}")
    assert names(third) == ["e"] and "continue" not in third["metadata"]


@with_api()
async def test_page_of_a_compacted_revision_is_expired(api):
    await make(api, *"abc")
    first = await api.must("GET", f"{CMS}?limit=1")
    await make(api, "d")
    await api.state.compact()
    status, answer = await api.get(f"{CMS}?limit=1&continue={first['metadata']['continue']}")
    assert (status, answer["reason"]) == (410, "Expired")
    await make(api, "later")
    rest = await api.must("GET", f"{CMS}?continue={answer['metadata']['continue']}")
    assert names(rest)[-1] == "later" and "a" not in names(rest), "what is there now, from the same place on"
    assert rest["metadata"]["resourceVersion"] == str(api.cache.revision)
    assert (await api.get(f"{CMS}?continue=garbage"))[0] == 400


@with_api()
async def test_pages_with_a_selector_are_full(api):
    for number in range(10):
        await make(api, f"c{number}", labels={"even": str(number % 2 == 0)})
    page = await api.must("GET", f"{CMS}?limit=3&labelSelector=even=True")
    assert names(page) == ["c0", "c2", "c4"] and "remainingItemCount" not in page["metadata"]
    await make(api, "later")
    page = await api.must("GET", f"{CMS}?limit=3&labelSelector=even=True&continue={page['metadata']['continue']}")
    assert names(page) == ["c6", "c8"]


@with_api()
async def test_exact_revision_shows_the_past(api):
    await make(api, "a")
    then = (await api.must("GET", CMS))["metadata"]["resourceVersion"]
    await make(api, "b")
    assert names(await api.must("GET", f"{CMS}?resourceVersion={then}&resourceVersionMatch=Exact")) == ["a"]
    assert names(await api.must("GET", f"{CMS}?resourceVersion={then}&resourceVersionMatch=NotOlderThan")) == ["a", "b"]
    status, answer = await api.get(f"{CMS}?resourceVersionMatch=Exact&sendInitialEvents=true")
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["message"] == (
        'ListOptions.meta.k8s.io "" is invalid: ['
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, "
        "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list]"
    )
    assert (await api.get(f"{CMS}?resourceVersion=x"))[0] == 400


@with_api()
async def test_selectors(api):
    await with_account(api)
    await api.must("POST", PODS, pod("a", "w1", labels={"app": "web", "tier": "front"}))
    await api.must("POST", PODS, pod("b", labels={"app": "web"}))
    for query, expected in (
        ("labelSelector=app=web,tier", ["a"]),
        ("labelSelector=app+in+(web),!tier", ["b"]),
        ("fieldSelector=spec.nodeName=w1", ["a"]),
        ("fieldSelector=spec.nodeName!=w1", ["b"]),
        ("fieldSelector=metadata.name=b,status.phase=Pending", ["b"]),
    ):
        assert names(await api.must("GET", f"{PODS}?{query}")) == expected, query
    assert (await api.get(f"{PODS}?labelSelector=a=b=c"))[0] == 400
    status, answer = await api.get(f"{PODS}?fieldSelector=spec.colour=red")
    assert (status, answer["message"]) == (400, "field label not supported: spec.colour")
    status, answer = await api.get(f"{CMS}?fieldSelector=data.colour=red")
    known = 'only "metadata.name", "metadata.namespace"'
    assert (status, answer["message"]) == (400, f'"data.colour" is not a known field selector: {known}')
    assert names(await api.must("GET", f"{PODS}?fieldSelector=status.podIPs=10.0.0.1")) == []
    assert (await api.get(f"{CMS}?timeoutSeconds=soon"))[0] == 400


@with_api()
async def test_other_forms(api):
    await make(api, "a")
    table = await api.must("GET", CMS, accept=TABLE)
    assert table["kind"] == "Table" and table["rows"][0]["cells"][:2] == ["a", 1]
    assert (await api.must("GET", f"{CMS}/a", accept=TABLE))["kind"] == "Table"
    one = await api.must("GET", f"{CMS}/a", accept=METADATA)
    assert one["kind"] == "PartialObjectMetadata" and "data" not in one
    many = await api.must("GET", CMS, accept=METADATA_LIST)
    assert many["kind"] == "PartialObjectMetadataList" and many["items"][0]["kind"] == "PartialObjectMetadata"
    assert (await api.must("GET", f"{CMS}/a", accept="application/vnd.kubernetes.protobuf, */*"))["kind"] == "ConfigMap"


@with_api()
async def test_linearizable_read_waits_for_the_cache(api):
    await make(api, "a")
    api.state.hold = asyncio.Event()
    await make(api, "b")
    reading = asyncio.ensure_future(api.get(f"{CMS}/b"))
    await asyncio.sleep(0.01)
    assert not reading.done()
    assert (await api.get(f"{CMS}/b?resourceVersion=0"))[0] == 404
    api.state.hold.set()
    assert (await reading)[0] == 200


@with_api()
async def test_concurrent_readers_share_a_barrier(api):
    await make(api, "a")
    before = api.state.asked_revision
    answers = await asyncio.gather(*(api.get(f"{CMS}/a") for _ in range(50)))
    assert all(status == 200 for status, _ in answers)
    assert api.state.asked_revision - before <= 2


@with_api()
async def test_state_that_is_down_is_said_so(api):
    api.state.down = True
    status, answer = await api.get(CMS)
    assert (status, answer["reason"]) == (503, "ServiceUnavailable") and answer["details"]["retryAfterSeconds"]
    assert (await api.get(f"{CMS}?resourceVersion=0"))[0] == 200
    assert (await api.post(CMS, config_map("a")))[0] == 503


@with_api()
async def test_watch_tells_every_change_in_order(api):
    start = (await api.must("GET", CMS))["metadata"]["resourceVersion"]
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={start}")
    await make(api, "a", "b")
    await api.must("PATCH", f"{CMS}/a", {"data": {"k": "2"}}, content_type="application/merge-patch+json")
    await api.must("DELETE", f"{CMS}/a")
    assert await watch.names(4) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]
    again = await api.watch(f"{CMS}?watch=1&resourceVersion={start}")
    events = [await again.next() for _ in range(4)]
    revisions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert revisions == sorted(set(revisions))
    assert events[3][1]["data"] == {"k": "2"}


@with_api()
async def test_watch_from_nothing_begins_with_what_is_there(api):
    await make(api, "a", "b")
    for version in ("", "&resourceVersion=0"):
        watch = await api.watch(f"{CMS}?watch=1{version}")
        assert await watch.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        await watch.close()


@with_api()
async def test_watch_list_ends_the_start_with_a_bookmark(api):
    await make(api, "a")
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    watch = await api.watch(f"{CMS}?{query}")
    assert await watch.names(1) == [("ADDED", "a")]
    kind, obj = await watch.next()
    assert kind == "BOOKMARK" and obj["kind"] == "ConfigMap"
    assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await make(api, "b")
    assert await watch.names(1) == [("ADDED", "b")]
    status, answer = await api.get(f"{CMS}?watch=1&sendInitialEvents=true")
    assert status == 422 and "NotOlderThan" in answer["message"]


@with_api()
async def test_bookmarks_tell_how_far_the_cache_is(api):
    first = api.cache.revision
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={first}&allowWatchBookmarks=true")
    plain = await api.watch(f"{CMS}?watch=1&resourceVersion={first}")
    api.clock.advance(61)
    api.cache.send_bookmarks(api.clock.monotonic(), 60)
    kind, obj = await watch.next()
    assert kind == "BOOKMARK" and obj["metadata"]["resourceVersion"] == str(api.cache.revision)
    await make(api, "a")
    assert await plain.names(1) == [("ADDED", "a")]


@with_api()
async def test_watch_with_a_selector_sees_objects_come_and_go(api):
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}&labelSelector=in=yes")

    async def label(value):
        await api.must(
            "PATCH", f"{CMS}/a", {"metadata": {"labels": {"in": value}}}, content_type="application/merge-patch+json"
        )

    await make(api, "a", "never")
    for value in ("yes", "no", "yes"):
        await label(value)
    await api.must("DELETE", f"{CMS}/a")
    events = [await watch.next() for _ in range(4)]
    assert [kind for kind, _ in events] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    assert events[1][1]["metadata"]["labels"] == {"in": "yes"}
    assert int(events[1][1]["metadata"]["resourceVersion"]) > int(events[0][1]["metadata"]["resourceVersion"])


@with_api()
async def test_watch_pinned_to_a_node_sees_its_pods_only(api):
    await with_account(api)
    watch = await api.watch(f"/api/v1/pods?watch=1&resourceVersion={api.cache.revision}&fieldSelector=spec.nodeName=w1")
    await api.must("POST", PODS, pod("a", "w2"))
    await api.must("POST", PODS, pod("b"))
    await api.must(
        "POST", f"{PODS}/b/binding", {"kind": "Binding", "apiVersion": "v1", "target": {"kind": "Node", "name": "w1"}}
    )
    await api.must("DELETE", f"{PODS}/b?gracePeriodSeconds=0")
    assert await watch.names(2) == [("ADDED", "b"), ("DELETED", "b")]
    await watch.close()
    assert sum(cache.watcher_count for cache in api.cache) == 0


@with_api()
async def test_watch_of_tables(api):
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}", accept=TABLE)
    await make(api, "a")
    kind, table = await watch.next()
    assert kind == "ADDED" and table["kind"] == "Table" and table["rows"][0]["cells"][0] == "a"


@with_api()
async def test_watch_from_too_long_ago_is_expired(api):
    old = resource_cache.WINDOW_EVENTS
    resource_cache.WINDOW_EVENTS = 2
    try:
        start = api.cache.revision
        await make(api, *"abcd")
        watch = await api.watch(f"{CMS}?watch=1&resourceVersion={start}")
        kind, status = await watch.next()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert await watch.ended()
    finally:
        resource_cache.WINDOW_EVENTS = old


@with_api()
async def test_slow_watcher_loses_its_watch_and_nobody_else_does(api):
    old = watcher.MAX_BUFFER_BYTES
    watcher.MAX_BUFFER_BYTES = 1000
    try:
        slow = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}")
        await make(api, *"abcdefgh", data={"k": "v" * 200})
        await api.server.barrier.fresh()
        kind, status = await slow.next()
        assert (kind, status["code"]) == ("ERROR", 410)
        assert await slow.ended()
        assert len((await api.must("GET", CMS))["items"]) == 8
    finally:
        watcher.MAX_BUFFER_BYTES = old


@with_api()
async def test_watch_goes_on_over_a_break_of_the_states_watch(api):
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}")
    await make(api, "a")
    api.state.break_watches()
    await make(api, "b")
    assert await watch.names(2) == [("ADDED", "a"), ("ADDED", "b")]


@with_api()
async def test_watch_ends_with_an_error_when_changes_were_compacted_away(api):
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}")
    api.state.hold = asyncio.Event()
    await make(api, "a", "b")
    await api.state.compact()
    api.state.hold.set()
    api.state.hold = None
    api.state.break_watches()
    seen = []
    while True:
        kind, obj = await watch.next()
        seen.append(kind)
        if kind == "ERROR":
            break
    assert obj["code"] == 410 or seen.count("ADDED") == 2
    assert names(await api.must("GET", CMS)) == ["a", "b"]


@with_api()
async def test_timeout_ends_a_watch(api):
    watch = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}&timeoutSeconds=1")
    assert await watch.ended()
    assert sum(cache.watcher_count for cache in api.cache) == 0
    assert (await api.get(f"{CMS}?watch=1&timeoutSeconds=x"))[0] == 400


@on_every_state
def test_restarted_server_serves_what_is_stored(monkeypatch):
    monkeypatch.setattr(reads, "FUTURE_WAIT_S", 0.1)

    async def main():
        async with states.opened() as state:
            await restart(state)

    async def restart(state):
        async with serving(state) as api:
            before = api.cache.revision
            await make(api, "a")
        async with serving(state) as again:
            assert names(await again.must("GET", CMS)) == ["a"]
            resumed = await again.watch(f"{CMS}?watch=1&resourceVersion={before}")
            assert await resumed.names(1) == [("ADDED", "a")]
            status, answer = await again.get(f"{CMS}?resourceVersion=99999")
            assert status == 504 and answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

    asyncio.run(main())


@with_api()
async def test_events_are_the_same_bytes_for_all_watchers(api):
    one = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}")
    two = await api.watch(f"{CMS}?watch=1&resourceVersion={api.cache.revision}")
    await make(api, "a")
    first, second = await anext(one.answer.chunks), await anext(two.answer.chunks)
    assert first is second
    assert orjson.loads(first)["object"] == (await api.get(f"{CMS}/a"))[1]


@with_api()
async def test_barrier_passes_errors_on_and_recovers(api):
    api.state.down = True
    try:
        await api.server.barrier.fresh()
        raise AssertionError("the state is down")
    except Unavailable:
        pass
    api.state.down = False
    await api.server.barrier.fresh()
