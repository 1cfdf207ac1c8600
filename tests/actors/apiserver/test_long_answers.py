"""A long list is written in pieces, as its reader takes them, and is the same list."""

import asyncio

import orjson
import pytest

from actors.apiserver import representation
from actors.apiserver.call import Answer, LongAnswer
from tests.actors.apiserver.api_harness import config_map, with_api
from tests.actors.apiserver.test_http_connection import CMS, Peer

NAMES = [f"cm-{number}" for number in range(9)]
PAGE = f"{CMS}?limit=500"


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(representation, "LONG_BYTES", 1000)
    monkeypatch.setattr(representation, "PIECE_BYTES", 500)


async def filled(api) -> Peer:
    for name in NAMES:
        await api.must("POST", CMS, config_map(name, data={"k": "v" * 100}))
    return Peer(api)


def names_in(answer: bytes) -> list[str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]) == len(body)
    return [item["metadata"]["name"] for item in orjson.loads(body)["items"]]


@with_api()
async def test_pieces_make_the_list(api):
    peer = await filled(api)
    peer.send(f"GET {PAGE} HTTP/1.1\n\n")
    assert names_in(await peer.receive()) == NAMES
    peer.send(f"HEAD {PAGE} HTTP/1.1\n\nGET /healthz HTTP/1.1\n\n")
    answers = await peer.receive(b"\r\n\r\nok")
    assert answers.count(b"content-length") == 2
    answer = await api.raw("GET", PAGE)
    assert isinstance(answer, LongAnswer) and len(list(answer.pieces())) > 3
    assert answer.size_bytes == len(answer.body) and answer.body == b"".join(answer.pieces())
    short = await api.raw("GET", f"{CMS}?limit=2")
    assert isinstance(short, Answer) and not isinstance(short, LongAnswer)


@with_api()
async def test_a_reader_that_takes_nothing_is_waited_for(api):
    peer = await filled(api)
    peer.connection.pause_writing()
    peer.send(f"GET {PAGE} HTTP/1.1\n\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert peer.transport.written == b"" and peer.tasks
    while not peer.transport.written:  # until the state has answered
        await asyncio.sleep(0.001)
        peer.connection.resume_writing()
        await asyncio.sleep(0)
        peer.connection.pause_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < len(peer.transport.written) < 2000 and peer.tasks
    peer.connection.resume_writing()
    assert names_in(await peer.receive()) == NAMES


@with_api()
async def test_a_reader_that_goes_away_ends_it(api):
    peer = await filled(api)
    peer.connection.pause_writing()
    peer.send(f"GET {PAGE} HTTP/1.1\n\n")
    await asyncio.sleep(0.01)
    peer.transport.close()
    peer.connection.connection_lost(None)
    assert await peer.receive() == b"" and not peer.tasks
