"""Whatever is written in whatever order: twice is once, forced is as applied, unowned is gone, entries are sound."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.machinery.apply import field_set, managers
from actors.apiserver.machinery.apply.field_set import EMPTY
from actors.apiserver.machinery.apply.server_side import ApplyConflict, apply
from actors.apiserver.machinery.apply.tracking import MANAGED_FIELDS, same_but_times, track_update
from actors.apiserver.machinery.apply.values import fields_of, merge
from tests.actors.apiserver.machinery.apply.appliers import WIDGET, WIDGETS, writer
from tests.actors.apiserver.machinery.objects import UID

WORDS = st.sampled_from(["a", "b", "c"])
SETS = st.lists(WORDS, unique=True, min_size=1, max_size=3)  # an empty set, list or object has nobody to keep it
STRINGS = st.dictionaries(WORDS, WORDS, min_size=1, max_size=3)
PORT = st.fixed_dictionaries(
    {"port": st.sampled_from([1, 2, 3])},
    optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": WORDS, "tags": SETS},
)
PORTS = st.lists(PORT, min_size=1, max_size=3, unique_by=lambda port: (port["port"], port.get("protocol", "TCP")))
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "size": st.sampled_from([1, 2]),
        "free": st.recursive(
            st.sampled_from([1, "x", [1]]), lambda part: st.dictionaries(WORDS, part, min_size=1, max_size=2)
        ).map(lambda part: part if isinstance(part, dict) else {"v": part}),
        "whole": STRINGS,
        "labels": STRINGS,
        "tags": SETS,
        "plain": SETS,
        "ports": PORTS,
    },
).filter(bool)
METADATA = st.fixed_dictionaries({"name": st.just("x")}, optional={"labels": STRINGS, "finalizers": SETS})
CONFIGS = st.fixed_dictionaries({"metadata": METADATA}, optional={"spec": SPEC})
MANAGERS = st.sampled_from(["one", "two", "three"])
STEPS = st.lists(st.tuples(st.sampled_from(["apply", "force", "update"]), MANAGERS, CONFIGS), min_size=1, max_size=8)


def whole(parts: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": WIDGET[0], "kind": WIDGET[1], **parts}


def replaced(live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """What a PUT of a configuration makes of an object."""
    kept = {name: part for name, part in live["metadata"].items() if name in ("uid", MANAGED_FIELDS)}
    return {**config, "metadata": {**config["metadata"], **kept}}


def walk(steps: list) -> dict[str, Any]:
    """Do the steps to an object that is not there, and check what must hold after each."""
    live = whole({"metadata": {"name": "x", "uid": UID}})
    for now, (action, manager, parts) in enumerate(steps):
        config, who = whole(parts), writer(manager, now, api_version=WIDGET[0])
        before = live
        if action == "update":
            live = replaced(live, config)
            track_update(live, before, who)
        else:
            try:
                live = apply(WIDGETS, live, config, who, action == "force")
            except ApplyConflict as conflict:
                assert action == "apply" and conflict.conflicts
                continue
            is_applied(live, before, config, who)
        check_entries(live)
    return live


def is_applied(live: dict[str, Any], before: dict[str, Any], config: dict[str, Any], who: managers.Writer) -> None:
    _, lost = WIDGETS.compare(config, merge(WIDGETS, live, config))
    assert lost is None and merge(WIDGETS, live, config) == live, "the object is as applied"
    again = apply(
        WIDGETS, live, config, managers.Writer(who.manager, who.api_version, "", "2027-01-01T00:00:00Z"), False
    )
    assert same_but_times(again, live) and again == live, "twice is once"
    given_up = field_set.difference(own_fields(before, who), fields_of(WIDGETS, config))
    for entry in live["metadata"].get(MANAGED_FIELDS, ()):
        given_up = field_set.difference(given_up, entry["fieldsV1"])
    leaves = leaves_of(given_up)
    assert field_set.intersection(fields_of(WIDGETS, live), leaves) == EMPTY, "what nobody owns any more is gone"


def leaves_of(fields: field_set.Fields) -> field_set.Fields:
    """Members without members below: an item or a map may stay for what is in it."""
    found = {}
    for element, node in fields.items():
        if not node:
            found[element] = node
        elif inner := leaves_of({k: v for k, v in node.items() if k != field_set.SELF}):
            found[element] = inner
    return {k: v for k, v in found.items() if not k.startswith("k:") or v}


def own_fields(obj: dict[str, Any], who: managers.Writer) -> field_set.Fields:
    for entry in obj["metadata"].get(MANAGED_FIELDS, ()):
        if managers.identity_of(entry) == who.identity(managers.APPLY):
            return entry["fieldsV1"]
    return EMPTY


def check_entries(live: dict[str, Any]) -> None:
    entries = live["metadata"].get(MANAGED_FIELDS, [])
    assert entries == managers.in_order(entries)
    assert len({managers.identity_of(entry) for entry in entries}) == len(entries)
    assert all(entry["fieldsV1"] for entry in entries)
    assert all(field_set.decoded(entry["fieldsV1"]) == entry["fieldsV1"] for entry in entries)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_any_order_of_writes(steps):
    walk(steps)


@settings(max_examples=50, deadline=None)
@given(STEPS, CONFIGS)
def test_an_apply_that_is_taken_back_leaves_what_was_there(steps, parts):
    """Nothing of an object is lost by somebody who applies something new and then nothing."""
    live = walk(steps)
    config = whole(parts)
    who = writer("late", 60, api_version=WIDGET[0])
    try:
        applied = apply(WIDGETS, live, config, who, False)
    except ApplyConflict:
        return
    after = apply(WIDGETS, applied, whole({"metadata": {"name": "x"}}), who, False)
    owned = EMPTY
    for entry in live["metadata"].get(MANAGED_FIELDS, ()):
        owned = field_set.union(owned, entry["fieldsV1"])
    present = fields_of(WIDGETS, after)
    assert field_set.difference(field_set.intersection(fields_of(WIDGETS, live), owned), present) == EMPTY
