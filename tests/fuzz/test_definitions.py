"""Custom resources of any schema and rules, and objects of theirs: no definition that is taken in breaks its API."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.definitions_of import definition, schemas, values
from tests.fuzz.target import Target, examples
from tests.fuzz.values_of import spoiled

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NUMBERS = itertools.count()
PATHS = [
    ".spec.a",
    ".status",
    ".spec['a']",
    "spec",
    ".spec.b[0]",
    ".",
    "",
    ".spec..a",
    ".metadata.name",
    ".spec[*].a",
    "x" * 300,
]
COLUMN_TYPES = ["string", "integer", "date", "boolean", "number", "nope"]

more_of_a_version = st.fixed_dictionaries(
    {},
    optional={
        "subresources": st.sampled_from([{"status": {}}, {"scale": {}}, {"status": {}, "scale": {
            "specReplicasPath": ".spec.a", "statusReplicasPath": ".status.a"}}]),
        "additionalPrinterColumns": st.lists(
            st.builds(dict, name=st.just("c"), type=st.sampled_from(COLUMN_TYPES), jsonPath=st.sampled_from(PATHS)),
            max_size=1,
        ),
        "selectableFields": st.lists(st.builds(dict, jsonPath=st.sampled_from(PATHS)), max_size=1),
    },
)  # fmt: skip


@examples(120)
@given(schemas(), more_of_a_version, st.data())
def test_definitions_and_objects_of_them(target: Target, schema: dict, more: dict, data):
    number = next(NUMBERS)
    status, _ = target.ask("POST", DEFINITIONS, definition(number, schema, **more))
    if status != 201:
        return
    collection = f"/apis/fuzz.example.com/v1/namespaces/default/things{number}"
    try:
        made = {"kind": f"Thing{number}", "apiVersion": "fuzz.example.com/v1", "metadata": {"name": "t"}}
        body: Any = {**made, "spec": data.draw(values(schema))}
        status, _ = target.ask("POST", collection, body)
        again = {**made, "spec": data.draw(values(schema))}
        target.ask("PATCH", f"{collection}/t", again, content_type="application/merge-patch+json")
        applied = f"{collection}/t?fieldManager=f&force=true"
        target.ask("PATCH", applied, again, content_type="application/apply-patch+yaml")
        target.ask(
            "PATCH", f"{collection}/t/scale", {"spec": {"replicas": 3}}, content_type="application/merge-patch+json"
        )
        target.must("GET", collection, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        target.must("GET", "/openapi/v3/apis/fuzz.example.com/v1")
    finally:
        target.ask("DELETE", f"{collection}/t")
        target.ask("DELETE", f"{DEFINITIONS}/things{number}.fuzz.example.com")


@examples(70)
@given(st.data())
def test_definitions_with_anything_in_them(target: Target, data):
    plain = {"type": "object", "properties": {"a": {"type": "integer"}}}
    whole = definition(0, plain, subresources={"status": {}}, additionalPrinterColumns=[
        {"name": "c", "type": "string", "jsonPath": ".spec.a"}])  # fmt: skip
    status, _ = target.ask("POST", DEFINITIONS, data.draw(spoiled(whole)))
    if status == 201:
        target.must("GET", DEFINITIONS, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        target.must("GET", "/apis")
        target.ask("PATCH", f"{DEFINITIONS}/things0.fuzz.example.com", data.draw(spoiled(whole)),
                   content_type="application/merge-patch+json")  # fmt: skip
        target.must("GET", "/openapi/v2")
        for item in target.must("GET", DEFINITIONS)["items"]:
            target.ask("DELETE", f"{DEFINITIONS}/{item['metadata']['name']}")
