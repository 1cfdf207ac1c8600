# ruff: noqa: E501 - a table reads best with one case a line
"""Changes of protocol to streams: whatever headers and parameters come, a refusal says why, and nothing is left open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.actors.apiserver.api_harness import pod
from tests.fuzz.requests_of import NASTY
from tests.fuzz.target import Target, examples

POD = "/api/v1/namespaces/default/pods/streamed"
PARTS = ["exec", "attach", "portforward", "proxy", "log"]
UPGRADES = ["", "websocket", "WebSocket", "SPDY/3.1", "spdy/9", "h2c", "websocket, SPDY/3.1", "x" * 500]
PROTOCOLS = [
    "v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", "v4.base64.channel.k8s.io", "SPDY/3.1+portforward.k8s.io",
    "v4.k8s.io", "portforward.k8s.io", "", ",", ",,v5.channel.k8s.io", "v9.channel.k8s.io", "base64url.bearer.authorization.k8s.io.x",
    "base64url.bearer.authorization.k8s.io.!!", "v5.channel.k8s.io, v4.channel.k8s.io", "\xff", "v5.channel.k8s.io;x=y",
]  # fmt: skip
KEYS = ["dGhlIHNhbXBsZSBub25jZQ==", "", "short", "!!!", "A" * 1000]
PARAMETERS = ["command", "container", "stdin", "stdout", "stderr", "tty", "ports", "port", "path", "nope"]


@pytest.fixture(scope="module", autouse=True)
def streamed(target: Target) -> None:
    target.ask(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts",
        {"kind": "ServiceAccount", "metadata": {"name": "default"}},
    )
    target.must("POST", "/api/v1/namespaces/default/pods", pod("streamed", "sim-0"))


headers = st.fixed_dictionaries(
    {b"connection": st.sampled_from(["Upgrade", "upgrade, keep-alive", "close", ""])},
    optional={
        b"sec-websocket-protocol": st.sampled_from(PROTOCOLS) | st.text("v5.chanel", max_size=9),
        b"sec-websocket-version": st.sampled_from(["13", "8", "", "13, 8", "x"]),
        b"sec-websocket-key": st.sampled_from(KEYS),
        b"sec-websocket-extensions": st.sampled_from(["permessage-deflate", "x;y=z", ";"]),
        b"x-stream-protocol-version": st.sampled_from(PROTOCOLS),
        b"origin": st.sampled_from(["https://evil.example", "null"]),
    },
)
parameters = st.lists(
    st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(["true", "false", "80", "0", "65536", *NASTY[:12]])),
    max_size=5,
)


@examples(300)
@given(st.sampled_from(["GET", "POST", "PUT"]), st.sampled_from(PARTS), st.sampled_from(UPGRADES), headers, parameters)
def test_any_upgrade_is_answered(target: Target, method, part, upgrade, headers, parameters):
    query = "&".join(f"{name}={value}" for name, value in parameters)
    others = tuple((name, value.encode("latin-1", "replace")) for name, value in headers.items())
    target.ask(method, f"{POD}/{part}?{query}", upgrade=upgrade, others=others)
    target.ask(method, f"/api/v1/namespaces/default/services/kubernetes/{part}?{query}", upgrade=upgrade, others=others)
