# ruff: noqa: E501 - a table reads best with one case a line
"""Values as a fuzzer makes them: JSON of any shape, and JSON that is nearly what a kind's schema wants."""

from typing import Any

from hypothesis import strategies as st

SCALARS = [
    None, True, False, 0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, 1e308, -0.0, "", "a", "x" * 300,
    "è", "\x00", "\ud7ff", "0", "1Gi", "-1", "1e100", "25%", "2026-01-01T00:00:00Z", "a/b", "a b", "*", "/metadata", "~1",
    "None", "ClusterIP", "Always", "TCP", "default", "v1", "[", "{{", "$(X)", "..", "a.b.c", "A" * 64,
]  # fmt: skip
KEYS = [
    "metadata", "spec", "status", "name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid",
    "resourceVersion", "generateName", "managedFields", "creationTimestamp", "deletionTimestamp", "generation", "kind",
    "apiVersion", "data", "containers", "template", "selector", "matchLabels", "replicas", "ports", "$patch", "$retainKeys",
    "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "$setElementOrder/finalizers", "$nope", "", "a",
    "è", "image", "env", "value", "op", "path", "items", "rules", "metrics", "type", "key", "operator", "values",
    "deletionGracePeriodSeconds", "selfLink", "time", "fieldsV1", "manager",
]  # fmt: skip

anything = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(KEYS), anything, max_size=4)


@st.composite
def spoiled(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON value with a few places of it put to something else, taken out, or doubled."""
    for _ in range(draw(st.integers(1, 3))):
        whole = _spoiled_once(draw, whole)
    return whole


def _spoiled_once(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        what = draw(st.sampled_from(["into", "into", "into", "out", "more"]))
        if what == "out":
            return {name: item for name, item in value.items() if name != key}
        if what == "more":
            return {**value, draw(st.sampled_from(KEYS)): draw(anything)}
        return {**value, key: _spoiled_once(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(value) - 1))
        if draw(st.booleans()):
            return [*value, value[index]]
        return [*value[:index], _spoiled_once(draw, value[index]), *value[index + 1 :]]
    return draw(anything)


def part_of(draw: st.DrawFn, value: Any) -> Any:
    """Some of a JSON object's members, at every level."""
    if not isinstance(value, dict):
        return value
    kept = draw(st.lists(st.sampled_from(sorted(value)), unique=True, max_size=4)) if value else []
    return {key: part_of(draw, value[key]) for key in kept}


def pointers(value: Any, at: str = "") -> list[str]:
    """All JSON pointers into a value."""
    found = [at]
    if isinstance(value, dict):
        for key, item in value.items():
            found += pointers(item, f"{at}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += pointers(item, f"{at}/{index}")
    return found
