"""sig-api-machinery: watches of ConfigMaps: taken up again, by label, and side by side."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.access import Api, Object
from tests.conformance.pods import Space, config_map
from tests.conformance.watching import watching

pytestmark = pytest.mark.timeout(60)


def labelled(name: str, label: str, data: Object | None = None) -> Object:
    return {**config_map(name, data), "metadata": {"name": name, "labels": {"watch": label}}}


def test_a_watch_is_taken_up_again(space: Space, api: Api):
    """watch-configmaps-closed-and-restarted"""
    path, query = space.path("configmaps"), {"labelSelector": "watch=restarted"}
    with watching(api, path, **query) as first:
        space.create("configmaps", labelled("restarted", "restarted"))
        first.until("ADDED", "restarted")
        space.patch("configmaps", "restarted", {"data": {"mutation": "1"}})
        last = first.until("MODIFIED", "restarted")["metadata"]["resourceVersion"]
    space.patch("configmaps", "restarted", {"data": {"mutation": "2"}})
    space.delete("configmaps", "restarted")
    with watching(api, path, resourceVersion=last, **query) as second:
        kind, found = second.next()
        assert (kind, found["data"]) == ("MODIFIED", {"mutation": "2"})
        kind, found = second.next()
        assert (kind, found["data"]) == ("DELETED", {"mutation": "2"})


def test_a_label_changes(space: Space, api: Api):
    """watch-configmaps-label-changed"""
    with watching(api, space.path("configmaps"), labelSelector="watch=changing") as watch:
        space.create("configmaps", labelled("changing", "changing"))
        space.patch("configmaps", "changing", {"data": {"mutation": "1"}})
        space.patch("configmaps", "changing", {"metadata": {"labels": {"watch": "other"}}})
        assert watch.next_of("changing", 3) == ["ADDED", "MODIFIED", "DELETED"]
        space.patch("configmaps", "changing", {"data": {"mutation": "2"}})
        space.patch("configmaps", "changing", {"metadata": {"labels": {"watch": "changing"}}})
        kind, found = watch.next()
        assert (kind, found["data"]) == ("ADDED", {"mutation": "2"})
        space.patch("configmaps", "changing", {"data": {"mutation": "3"}})
        space.delete("configmaps", "changing")
        assert watch.next_of("changing", 2) == ["MODIFIED", "DELETED"]


def test_watches_agree(space: Space, api: Api):
    """watch-consistency"""
    path, events = space.path("configmaps"), 30

    def write() -> None:
        for number in range(events // 3):
            name = f"consistent-{number}"
            space.create("configmaps", labelled(name, "consistent"))
            space.patch("configmaps", name, {"data": {"mutation": "1"}})
            space.delete("configmaps", name)

    def versions_from(first: str) -> list[str]:
        with watching(api, path, resourceVersion=first, labelSelector="watch=consistent") as watch:
            return [watch.next()[1]["metadata"]["resourceVersion"] for _ in range(events)]

    start = api.json("GET", path)["metadata"]["resourceVersion"]
    with ThreadPoolExecutor(8) as pool, watching(api, path, resourceVersion=start) as watch:
        writer = pool.submit(write)
        seen = [watch.next()[1]["metadata"]["resourceVersion"] for _ in range(2)]
        alike = [pool.submit(versions_from, start) for _ in range(3)]
        while len(seen) < events:
            seen.append(watch.next()[1]["metadata"]["resourceVersion"])
        writer.result()
        assert all(one.result() == seen for one in alike)
        later = pool.map(lambda index: _rest(api, path, seen[index], events - index - 1), range(0, events - 1, 4))
        assert list(later) == [seen[index + 1 :] for index in range(0, events - 1, 4)]


def _rest(api: Api, path: str, after: str, count: int) -> list[str]:
    with watching(api, path, resourceVersion=after) as watch:
        return [watch.next()[1]["metadata"]["resourceVersion"] for _ in range(count)]
