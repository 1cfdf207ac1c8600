"""Patches of every type on objects of many kinds: what is refused says why, and what is not leaves a sound object."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.objects_of import OBJECTS, PARTS
from tests.fuzz.target import Target, examples
from tests.fuzz.values_of import anything, objects, part_of, pointers, spoiled

MERGE, STRATEGIC, JSON, APPLY = (
    "application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
OPERATIONS = ["add", "remove", "replace", "move", "copy", "test", "nope", None]
STEPS = ["-", "0", "x", "-1", "01", "~", "~2", "9" * 30]
DELETE_OPTIONS = {
    "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 2**62, "preconditions": {"uid": "x"},
    "propagationPolicy": "Orphan",
}  # fmt: skip
SETTINGS = ["", "dryRun=All", "fieldValidation=Strict", "fieldManager=f", "fieldManager=f&force=true", "force=false"]


@pytest.fixture(scope="module")
def existing(target: Target) -> dict[str, Any]:
    """The objects as they were made: what is drawn must not depend on what earlier examples did to them."""
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}}
    target.must("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    return {collection: target.must("POST", collection, obj) for collection, obj in OBJECTS.items()}


@st.composite
def places(draw: st.DrawFn) -> tuple[str, str]:
    """A collection, and the path of the object in it or of a part of that."""
    collection = draw(st.sampled_from(sorted(OBJECTS)))
    part = draw(st.sampled_from(["", "", *PARTS.get(collection, [])]))
    return collection, f"{collection}/f{'/' + part if part else ''}"


def sound(target: Target, collection: str) -> None:
    """The object can still be read, listed as a table, and written back as it is."""
    obj = target.must("GET", f"{collection}/f")
    target.must("PUT", f"{collection}/f", obj)
    target.must("GET", collection, accept="application/json;as=Table;v=v1;g=meta.k8s.io")


@examples(240)
@given(places(), st.sampled_from([MERGE, STRATEGIC, APPLY]), st.sampled_from(SETTINGS), st.data())
def test_patches_like_the_object(target: Target, existing: dict, place, kind, setting, data):
    collection, path = place
    obj = existing[collection]
    patch = part_of(data.draw, obj)
    if kind == APPLY:
        patch = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], **patch}
        patch.get("metadata", {}).pop("managedFields", None)
    target.ask("PATCH", f"{path}?{setting}", data.draw(spoiled(patch)), content_type=kind)
    sound(target, collection)


@examples(140)
@given(places(), st.sampled_from([MERGE, STRATEGIC, APPLY, JSON]), st.sampled_from(SETTINGS), anything | objects)
def test_patches_of_any_shape(target: Target, existing: dict, place, kind, setting, patch):
    collection, path = place
    target.ask("PATCH", f"{path}?{setting}", patch, content_type=kind)
    sound(target, collection)


@examples(180)
@given(places(), st.data())
def test_json_patches(target: Target, existing: dict, place, data):
    collection, path = place
    known = pointers(existing[collection])
    pointer = (
        st.sampled_from(known)
        | st.builds("{}/{}".format, st.sampled_from(known), st.sampled_from(STEPS))
        | st.text(max_size=6)
    )
    more = {"value": anything, "from": pointer, "more": anything}
    operation: Any = st.fixed_dictionaries({"op": st.sampled_from(OPERATIONS), "path": pointer}, optional=more)
    patch = data.draw(st.lists(operation | anything, max_size=4))
    target.ask("PATCH", path, patch, content_type=JSON)
    sound(target, collection)


@examples(140)
@given(places(), st.sampled_from(["PUT", "POST", "DELETE"]), st.sampled_from(SETTINGS), st.data())
def test_bodies_like_the_object(target: Target, existing: dict, place, method, setting, data):
    collection, path = place
    if method == "DELETE":
        target.ask("DELETE", f"{path}?dryRun=All", data.draw(spoiled(DELETE_OPTIONS)))
        return
    body = data.draw(spoiled(existing[collection]))
    target.ask(method, f"{path if method == 'PUT' else collection}?{setting}", body)
    if isinstance(body, dict) and isinstance(body.get("metadata"), dict) and body["metadata"].get("name") != "f":
        target.ask("DELETE", f"{collection}/{body['metadata'].get('name')}")
    sound(target, collection)
