"""From client-side apply to server-side apply."""

import orjson
import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.apply.last_applied import ANNOTATION
from tests.actors.apiserver.machinery.apply.appliers import Applied

CLIENT = "kubectl-client-side-apply"


def client_side(data: dict[str, str], annotation: str | None = None) -> Applied:
    """An object as `kubectl apply` makes it."""
    live = Applied()
    last = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "annotations": {}}, "data": data}
    text = orjson.dumps(last).decode() if annotation is None else annotation
    live.create(CLIENT, {"metadata": {"annotations": {ANNOTATION: text}}, "data": data})
    return live


def annotation(live: Applied) -> dict:
    return orjson.loads(live.obj["metadata"]["annotations"][ANNOTATION])


def test_kubectl_takes_over_without_force():
    live = client_side({"a": "1", "b": "2"})
    live.apply("kubectl", "{data: {a: '9', b: '2'}}")
    assert live.obj["data"] == {"a": "9", "b": "2"}
    assert ".data.a" not in live.owned(CLIENT, "Update")
    assert annotation(live) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "9", "b": "2"}
    }  # fmt: skip


def test_another_manager_does_not():
    live = client_side({"a": "1"})
    with pytest.raises(ApiError, match=f'conflict with "{CLIENT}" using v1: .data.a'):
        live.apply("other", "{data: {a: '9'}}")
    live.apply("other", "{data: {b: '9'}}")
    assert annotation(live)["data"] == {"a": "1"}


def test_what_others_have_changed_since_is_still_a_conflict():
    live = client_side({"a": "1", "b": "1"})
    live.update("someone", data={"a": "2", "b": "1"})
    with pytest.raises(ApiError) as refused:
        live.apply("kubectl", "{data: {a: '9', b: '9'}}")
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "someone" using v1: .data.a'


@pytest.mark.parametrize("text", ["", "{", "[]", '{"apiVersion": "v2", "metadata": {}}', '{"apiVersion": "v1"}'])
def test_an_annotation_that_says_nothing_allows_nothing(text):
    live = client_side({"a": "1"}, text)
    with pytest.raises(ApiError, match="Apply failed with 1 conflict"):
        live.apply("kubectl", "{data: {a: '9'}}")


def test_an_annotation_that_gets_too_large_goes():
    live = client_side({"a": "1"})
    live.apply("kubectl", {"data": {"a": "1", "b": "x" * 300_000}})
    assert ANNOTATION not in live.obj["metadata"].get("annotations", {})


def test_renewing_is_settled_after_once():
    live = client_side({"a": "1"})
    live.apply("kubectl", "{data: {a: '1'}}")
    before = live.obj
    live.apply("kubectl", "{data: {a: '1'}}")
    assert live.obj is before
