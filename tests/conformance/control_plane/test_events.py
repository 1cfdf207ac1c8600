"""sig-instrumentation: events, in both of their forms."""

from typing import Any

import pytest

from tests.conformance.access import STRATEGIC, Api, Object
from tests.conformance.pods import Space

pytestmark = pytest.mark.timeout(60)

NEW = "events.k8s.io/v1/events"
TIME = "2026-01-01T00:00:00.000000Z"
SERIES = {"count": 100, "lastObservedTime": "2026-01-02T00:00:00.000000Z"}


def event(space: Space, name: str, **fields: Any) -> Object:
    metadata = {"name": name, "labels": {"of": "events"}}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": metadata,
        "regarding": {"namespace": space.name},
        "eventTime": TIME,
        "note": "This is a test event",
        "reason": "Test",
        "type": "Normal",
        "action": "Do",
        "reportingController": "test-controller",
        "reportingInstance": "test-node",
        **fields,
    }


def names(space: Space, api: Api, resource: str = NEW, selector: str = "of=events") -> list[set[str]]:
    """Return the names of the events in the namespace, and of this namespace in all."""
    everywhere = Space(api, "").list(resource, selector)
    own = {item["metadata"]["name"] for item in everywhere if item["metadata"]["namespace"] == space.name}
    return [{item["metadata"]["name"] for item in space.list(resource, selector)}, own]


def test_one_event(space: Space, api: Api):
    """New Event resource lifecycle, testing a single event"""
    space.create(NEW, event(space, "one"))
    assert names(space, api) == [{"one"}, {"one"}]
    assert space.patch(NEW, "one", {"note": "patched"}, kind=STRATEGIC)["note"] == "patched"
    assert space.get(NEW, "one")["note"] == "patched"
    space.modify(NEW, "one", lambda found: found.update(series=SERIES))
    assert space.get(NEW, "one")["series"] == SERIES
    space.delete(NEW, "one")
    assert names(space, api) == [set(), set()]


def test_a_list_of_events(space: Space, api: Api):
    """New Event resource lifecycle, testing a list of events"""
    wanted = {f"many-{number}" for number in range(3)}
    for name in wanted:
        space.create(NEW, event(space, name))
    assert names(space, api) == [wanted, wanted]
    space.delete_all(NEW, "of=events")
    assert names(space, api) == [set(), set()]


def test_an_event_of_the_core(space: Space, api: Api):
    """Event, manage lifecycle of an Event"""
    about = {"namespace": space.name, "kind": "Pod", "name": "nobody"}
    made = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "core", "labels": {"of": "core"}}}
    space.create("events", {**made, "involvedObject": about, "message": "a", "reason": "Test", "type": "Normal"})
    assert names(space, api, "events", "of=core") == [{"core"}, {"core"}]
    assert space.patch("events", "core", {"message": "patched"}, kind=STRATEGIC)["message"] == "patched"
    assert space.get("events", "core")["message"] == "patched"
    space.modify("events", "core", lambda found: found.update(series=SERIES))
    assert space.get("events", "core")["series"] == SERIES
    assert space.get(NEW, "core")["note"] == "patched", "the same event in its new form"
    space.delete("events", "core")
    assert names(space, api, "events", "of=core") == [set(), set()]
