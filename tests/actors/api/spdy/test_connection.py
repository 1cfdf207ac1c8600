"""SPDY without I/O: two cores joined by nothing but bytes, and bytes that no good peer sends."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.api.spdy import frames
from actors.api.spdy.connection import (
    DataReceived,
    GoneAway,
    Role,
    SpdyConnection,
    SpdyError,
    StreamOpened,
    StreamReplied,
    StreamReset,
)
from actors.api.spdy.frames import Type
from actors.api.spdy.headers import DICTIONARY, MAX_BLOCK_BYTES, Compressor, Decompressor, HeaderError


class Pair:
    """A client and a server; `pass_on` moves what each has to say to the other, in pieces of a given size."""

    def __init__(self, piece: int = 1 << 20):
        self.client, self.server = SpdyConnection(Role.CLIENT), SpdyConnection(Role.SERVER)
        self.piece = piece

    def pass_on(self):
        return self._move(self.client, self.server), self._move(self.server, self.client)

    def _move(self, source, target):
        data = b"".join(source.take())
        return [
            event
            for at in range(0, len(data), self.piece)
            for event in target.receive(data[at : at + self.piece])
        ]  # fmt: skip


def opened(pair, **options):
    stream = pair.client.open({"streamType": "data", "port": "80"}, **options)
    pair.pass_on()
    pair.server.reply(stream)
    pair.pass_on()
    return stream


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_stream_from_its_opening_to_its_end(piece):
    pair = Pair(piece)
    stream = pair.client.open({"streamType": "data", "Port": "80"})
    assert pair.pass_on() == ([StreamOpened(1, {"streamtype": "data", "port": "80"}, False)], [])
    pair.server.reply(stream, {"a": "b"})
    assert pair.pass_on() == ([], [StreamReplied(1, {"a": "b"}, False)])
    pair.client.send(stream, b"question", fin=True)
    told, _ = pair.pass_on()
    assert b"".join(event.data for event in told) == b"question"
    assert [event.fin for event in told] == [False] * (len(told) - 1) + [True]
    pair.server.send(stream, b"answer", fin=True)
    _, told = pair.pass_on()
    assert b"".join(event.data for event in told) == b"answer"
    assert pair.client.streams == pair.server.streams == 0


def test_ids_are_odd_for_clients_and_even_for_servers():
    pair = Pair()
    assert [pair.client.open({}), pair.client.open({}), pair.server.open({})] == [1, 3, 2]


def test_the_compression_context_lasts_for_the_connection():
    pair = Pair()
    first = len(b"".join([pair.client.open({"streamtype": "error", "port": "8080"}), *pair.client.take()][1:]))
    pair.client.open({"streamtype": "error", "port": "8080"})
    assert len(b"".join(pair.client.take())) < first


def test_a_reset_ends_both_ways_and_what_was_under_way_is_ignored():
    pair = Pair()
    stream = opened(pair)
    pair.server.send(stream, b"late")
    pair.client.reset(stream)
    assert pair.pass_on() == ([StreamReset(1, frames.ResetStatus.CANCEL)], [])
    assert not pair.server.send(stream, b"more")
    assert pair.client.streams == pair.server.streams == 0


def test_pings_are_answered_by_the_other_side_only():
    pair = Pair()
    pair.client.ping()
    pair.pass_on()
    assert pair.client.pings_unanswered == 0
    assert b"".join(pair.server.take()) == b""


def test_going_away_is_told_with_the_last_stream():
    pair = Pair()
    stream = opened(pair)
    pair.server.go_away()
    assert pair.pass_on()[1] == [GoneAway(stream)]


def test_settings_and_window_updates_are_heard_and_change_nothing():
    pair = Pair()
    stream = opened(pair)
    settings = frames.pack_control(Type.SETTINGS, struct.pack("!III", 1, 7, 65536))
    update = frames.pack_numbers(Type.WINDOW_UPDATE, stream, 1000)
    assert pair.server.receive(settings + update) == []


def test_a_stream_that_is_finished_at_once_takes_no_data():
    pair = Pair()
    stream = opened(pair, fin=True)
    assert not pair.client.send(stream, b"x")
    assert pair.server.send(stream, b"y", fin=True)
    assert pair.pass_on()[1] == [DataReceived(stream, b"y", True)]


def test_too_many_streams_are_refused_one_by_one(monkeypatch):
    monkeypatch.setattr("actors.api.spdy.connection.MAX_STREAMS", 2)
    pair = Pair()
    ids = [pair.client.open({}) for _ in range(3)]
    told, back = pair.pass_on()
    assert [event.stream_id for event in told] == ids[:2]
    assert back == [StreamReset(ids[2], frames.ResetStatus.REFUSED_STREAM)]


def bad_id():
    return frames.pack_control(Type.SYN_STREAM, struct.pack("!IIBB", 2, 0, 0, 0) + Compressor().pack({}))


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!II", 1 << 31 | 2 << 16 | 1, 0),
        struct.pack("!II", 1 << 31 | 3 << 16 | 1, frames.MAX_CONTROL_BYTES + 1),
        frames.pack_control(Type.SYN_STREAM, b"short"),
        frames.pack_control(Type.RST_STREAM, b"\0\0\0\1"),
        frames.pack_control(Type.SYN_STREAM, struct.pack("!IIBB", 1, 0, 0, 0) + b"not zlib"),
        bad_id(),
    ],
    ids=["version", "too long", "short", "short reset", "not zlib", "an id of ours"],
)
def test_bytes_that_break_the_protocol(data):
    with pytest.raises(SpdyError):
        SpdyConnection(Role.SERVER).receive(data)


def test_a_header_bomb_is_refused():
    deflate = zlib.compressobj(zdict=DICTIONARY)
    bomb = deflate.compress(bytes(MAX_BLOCK_BYTES * 100)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(HeaderError):
        Decompressor().unpack(bomb)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    try:
        SpdyConnection(Role.SERVER).receive(data)
    except SpdyError:
        return


@given(st.dictionaries(st.from_regex(r"[a-z-]{1,20}", fullmatch=True), st.text(st.characters(max_codepoint=255))))
def test_headers_come_out_as_they_went_in(headers):
    assert Decompressor().unpack(Compressor().pack(headers)) == headers
