"""Any method on any path with any parameters and headers."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.requests_of import ACCEPTS, CONTENT_TYPES, METHODS, targets
from tests.fuzz.target import Target, examples

BODIES = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"0",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"k8s\x00",
    b"a: &a [*a]",
    b'{"kind":"DeleteOptions"}',
]


@examples(600)
@given(
    st.sampled_from(METHODS),
    targets(),
    st.sampled_from(BODIES),
    st.sampled_from(CONTENT_TYPES),
    st.sampled_from(ACCEPTS),
)
def test_any_request_is_answered(target: Target, method, path, body, content_type, accept):
    target.ask(method, path, body, content_type=content_type, accept=accept)


@examples(300)
@given(targets(), st.sampled_from(ACCEPTS))
def test_any_read_is_answered(target: Target, path, accept):
    target.ask("GET", path, accept=accept)
