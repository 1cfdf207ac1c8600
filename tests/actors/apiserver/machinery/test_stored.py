import orjson
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.machinery.stored import encode_stored, stamp
from tests.actors.apiserver.machinery.objects import created

texts = st.text(max_size=20) | st.just('"resourceVersion":""') | st.just("resourceVersion")
annotations = st.dictionaries(texts, texts, max_size=5)


def test_the_placeholder_comes_first():
    stored = encode_stored(created("Pod"))
    assert stored.startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"","name":"x"')
    assert stamp(stored, 42).startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"42","name"')


@given(annotations, annotations, st.integers(1, 2**63 - 1))
def test_a_stamp_changes_nothing_but_the_revision(annotations, data, revision):
    obj = {
        "metadata": {"name": "x", "annotations": annotations, "resourceVersion": "7"},
        "data": data,
        "involvedObject": {"resourceVersion": ""},
        "apiVersion": "v1",
        "kind": "ConfigMap",
    }
    before = orjson.dumps(obj)
    read = orjson.loads(stamp(encode_stored(obj), revision))
    assert read == obj | {"metadata": obj["metadata"] | {"resourceVersion": str(revision)}}
    assert orjson.dumps(obj) == before
