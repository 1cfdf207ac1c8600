"""Large answers are gzipped for those who take it, and are the same answers; small ones never are."""

import gzip
import zlib

import orjson
import pytest

from actors.apiserver import compression, representation
from tests.actors.apiserver.api_harness import config_map, with_api
from tests.actors.apiserver.test_http_connection import CMS, Peer

NAMES = [f"cm-{number}" for number in range(9)]


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch):
    monkeypatch.setattr(compression, "GZIP_FROM_BYTES", 1000)
    monkeypatch.setattr(representation, "PIECE_BYTES", 500)


async def filled(api) -> Peer:
    for name in NAMES:
        await api.must("POST", CMS, config_map(name, data={"k": "v" * 100}))
    return Peer(api)


async def asked(peer: Peer, coding: str, method: str = "GET", end: bytes | None = None) -> tuple[bytes, bytes]:
    """Return the head and the body of a list."""
    peer.transport.written = b""
    peer.send(f"{method} {CMS}?limit=500 HTTP/1.1\nAccept-Encoding: {coding}\n\n")
    answer = await (peer.receive() if end is None else peer.receive(end))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.lower(), body


def names_in(body: bytes) -> list[str]:
    return [item["metadata"]["name"] for item in orjson.loads(body)["items"]]


def unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        whole, body = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return whole


@with_api()
async def test_whole_answers(api):
    peer = await filled(api)
    head, body = await asked(peer, "br, gzip;q=0.5")
    assert b"content-encoding: gzip" in head and b"vary: accept-encoding" in head
    assert b"content-length: %d" % len(body) in head
    assert names_in(gzip.decompress(body)) == NAMES


@with_api()
async def test_long_answers(api):
    peer = await filled(api)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(representation, "LONG_BYTES", 1000)
        head, body = await asked(peer, "gzip", end=b"\r\n0\r\n\r\n")
    assert b"content-encoding: gzip" in head and b"transfer-encoding: chunked" in head
    assert names_in(zlib.decompress(unchunked(body), 31)) == NAMES


@with_api()
async def test_who_gets_plain_answers(api):
    peer = await filled(api)
    for coding in ("identity", "gzip;q=0", "gzip; q=0.000", "deflate, br"):
        head, body = await asked(peer, coding)
        assert b"content-encoding" not in head and names_in(body) == NAMES
    head, _ = await asked(peer, "gzip", "HEAD")
    assert b"content-encoding" not in head
    peer.send(f"GET {CMS}/cm-0 HTTP/1.1\nAccept-Encoding: gzip\n\n")  # small
    assert b"content-encoding" not in (await peer.receive()).lower()
