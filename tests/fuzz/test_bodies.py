# ruff: noqa: E501 - a table reads best with one case a line
"""Bytes that are no objects, or objects beyond all measure: refused within limits, soon, and with a reason."""

import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.requests_of import CONTENT_TYPES
from tests.fuzz.target import Target, examples

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PATCHED = f"{CONFIG_MAPS}/patched"
JSON, YAML, PROTOBUF, MERGE = (
    "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/merge-patch+json",
)  # fmt: skip

NUMBERS = ["1e400", "-1e400", "1e-400", "9" * 400, "0" * 100, "-0", "01", ".5", "1.", "+1", "0x1", "1_0", "NaN", "Infinity",
           "9223372036854775808", "1e18446744073709551616", "0." + "1" * 5000]  # fmt: skip
MANGLED = [
    b'{"kind":"ConfigMap","kind":"Secret"}', b'{"metadata":{"name":"a","name":"b"}}', b'{"data":{"a":"\xff\xfe"}}',
    b'{"data":{"a":"\\ud800"}}', b'{"data":{"\\u0000":"\\u0000"}}', b"\xef\xbb\xbf{}", b"\x00", b"{}{}", b"{} x", b"{",
    b'{"a":1,}', b"'a'", b"[[[", b'"\xc3\x28"', "{\"é\":\"\U0001f600\"}".encode("utf-16"), b'{"a":}', b"nul", b"tru",
]  # fmt: skip
YAMLS = [
    b"a: &a [*a]", b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (97 + n, 97 + n, b",".join([b"*%c" % (96 + n)] * 9)) for n in range(1, 12)),
    b"!!python/object/apply:os.system [id]", b"? {a: b}\n: c", b"<<: *nope", b"--- a\n--- b\n", b"a: !!binary xx",
    b"a: 2026-01-01", b"1: 2", b"a: .nan", b"a: 0o17", b"null: null", b"a: b: c", b"\t- x", b"%YAML 9.9\n---\na", b"&a a: *a",
    b"a: !!set {x, y}", b"a: 1:30:00", b"? [x, y]\n: z", b"a: |\n  \xff", b"{a: [}", b"- - - - -", b"a: !x y", b"*a",
    b"metadata: {name: yes, labels: {a: no, b: 1.0, c: 0x10}}", b"a" * 3000 + b": x", b"[" * 3000, b"{a: " * 3000,
]  # fmt: skip
PROTOBUFS = [
    b"k8s\x00", b"k8s\x00\x0a", b"k8s\x00" + b"\xff" * 64, b"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap",
    b"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\xff\xff\xff\xff\x0f", b"k9s\x00\x0a\x00", b"",
    b"k8s\x00\x0a\x0b\x0a\x02v1\x12\x05Event\x12\x02\x0a\x00\x1a\x00\x22\x00" * 3,
]  # fmt: skip


def deep(opening: str, closing: str, depth: int) -> bytes:
    return f'{{"kind":"ConfigMap","metadata":{{"name":"d"}},"data":{opening * depth}{closing * depth}}}'.encode()


BOMBS = {
    "arrays": deep("[", "]", 100_000),
    "unclosed": b'{"a":' * 200_000,
    "objects": deep('{"a":', "", 50_000) + b"1" + b"}" * 50_000,
    "members": b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
    "items": b'{"kind":"ConfigMap","metadata":{"finalizers":[' + b",".join([b'"a/b"'] * 100_000) + b"]}}",
    "labels": b'{"metadata":{"name":"x","labels":{' + b",".join(b'"k%d":"v"' % n for n in range(30_000)) + b"}}}",
    "string": b'{"kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"' + b"x" * 2_900_000 + b'"}}',
    "escapes": b'{"kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"' + b"\\u0041" * 400_000 + b'"}}',
    "name": b'{"kind":"ConfigMap","metadata":{"name":"' + b"a" * 1_000_000 + b'"}}',
    "too large": b"x" * 4_000_000,
}


@pytest.fixture(scope="module", autouse=True)
def patched(target: Target) -> None:
    target.must("POST", CONFIG_MAPS, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "patched"}})


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("how", [("POST", CONFIG_MAPS, JSON), ("POST", CONFIG_MAPS, YAML), ("PATCH", PATCHED, MERGE)],
                         ids=["json", "yaml", "patch"])  # fmt: skip
def test_bombs(target: Target, name: str, how):
    method, path, content_type = how
    status, _ = target.ask(method, f"{path}?dryRun=All", BOMBS[name], content_type=content_type)
    assert status in (200, 201, 400, 413, 415, 422)


@pytest.mark.parametrize("body", [*MANGLED, *YAMLS, *PROTOBUFS], ids=range(len([*MANGLED, *YAMLS, *PROTOBUFS])))
def test_what_others_trip_over(target: Target, body: bytes):
    for content_type in (JSON, YAML, PROTOBUF, MERGE, "application/apply-patch+yaml", "application/json-patch+json"):
        method, path = ("POST", CONFIG_MAPS) if content_type in (JSON, YAML, PROTOBUF) else ("PATCH", PATCHED)
        target.ask(method, f"{path}?dryRun=All&fieldManager=f", body, content_type=content_type)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers(target: Target, number: str):
    body = f'{{"kind":"Deployment","apiVersion":"apps/v1","metadata":{{"name":"n"}},"spec":{{"replicas":{number}}}}}'
    status, _ = target.ask("POST", "/apis/apps/v1/namespaces/default/deployments?dryRun=All", body.encode())
    assert status in (400, 422)
    target.ask("PATCH", f"{PATCHED}?dryRun=All", f'{{"data":{{"a":{number}}}}}'.encode(), content_type=MERGE)
    target.ask("POST", CONFIG_MAPS, f"metadata: {{name: {number}}}\ndata: {{a: {number}}}".encode(), content_type=YAML)


@examples(250)
@given(st.binary(max_size=200), st.sampled_from(CONTENT_TYPES), st.booleans())
def test_any_bytes(target: Target, body, content_type, is_patch):
    method, path = ("PATCH", PATCHED) if is_patch else ("POST", CONFIG_MAPS)
    target.ask(method, path, body, content_type=content_type)


@examples(200)
@given(st.data())
def test_a_body_with_a_few_bytes_changed(target: Target, data):
    body = bytearray(
        orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "b"}, "data": {"a": "1"}})
    )
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    target.ask("POST", f"{CONFIG_MAPS}?dryRun=All", bytes(body), content_type=data.draw(st.sampled_from([JSON, YAML])))


def test_refusals_leave_nothing_behind(target: Target):
    """What is refused again and again does not add up."""
    bodies = [*MANGLED, *YAMLS, BOMBS["unclosed"]]

    def round_() -> None:
        for body in bodies:
            target.ask("POST", CONFIG_MAPS, body, content_type=YAML if body in YAMLS else JSON)

    round_()
    tracemalloc.start()
    try:
        round_()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2):
            round_()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000, f"{grown} bytes are kept of {2 * len(bodies)} refusals"
