"""Channels of a WebSocket, their Statuses, and sizes: bytes in, values out."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.streams import channels, outcome
from actors.apiserver.streams.channels import ChannelError, CommandDecoder, Decoder, choose, encode
from actors.apiserver.streams.websocket import Piece
from actors.kubelet.messages import BAD_REQUEST, FAILED, NOT_FOUND, Input, InputEnd, Resize
from bus import RemoteError, Unavailable

BY_NAME = {protocol.name: protocol for protocol in channels.COMMAND_PROTOCOLS}
V5, V4, B64 = BY_NAME["v5.channel.k8s.io"], BY_NAME["v4.channel.k8s.io"], BY_NAME["v4.base64.channel.k8s.io"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["v5.channel.k8s.io"], "v5.channel.k8s.io"),
        (["v9.channel.k8s.io", "v4.channel.k8s.io"], "v4.channel.k8s.io"),
        (["base64.channel.k8s.io"], "base64.channel.k8s.io"),
        ([], ""),
    ],
)
def test_the_first_known_protocol_is_spoken(offered, chosen):
    assert choose(offered, channels.COMMAND_PROTOCOLS).name == chosen


def test_nothing_in_common_is_no_protocol():
    assert choose(["mqtt"], channels.COMMAND_PROTOCOLS) is None


def heard(protocol, *pieces):
    decoder = CommandDecoder(protocol)
    return [item for piece in pieces for item in decoder.feed(piece)]


def test_input_its_end_and_a_size():
    messages = b"\x00ls\n", b"\x00", b'\x04{"Width":80,"Height":24}', b"\xff\x00"
    assert heard(V5, *map(Piece, messages)) == [Input(b"ls\n"), Resize(80, 24), InputEnd()]


def test_only_v5_knows_an_end_of_input():
    assert heard(V4, Piece(b"\xff\x00")) == []
    assert heard(V5, Piece(b"\xff\x01"), Piece(b"\xff")) == []


def test_a_message_in_pieces_stays_on_its_channel():
    pieces = Piece(b"\x00ab", ends=False), Piece(b"cd", begins=False, ends=False), Piece(b"ef", begins=False)
    assert heard(V5, *pieces, Piece(b"\x00g")) == [Input(b"ab"), Input(b"cd"), Input(b"ef"), Input(b"g")]


def test_an_empty_first_piece_leaves_the_channel_to_the_next():
    assert heard(V5, Piece(b"", ends=False), Piece(b"\x00x", begins=False)) == [Input(b"x")]


def test_channels_that_are_not_the_client_s_are_ignored():
    assert heard(V5, Piece(b"\x01x"), Piece(b"\x03x"), Piece(b"\x63x"), Piece(b"")) == []


def test_base64_messages_are_read_when_they_are_whole():
    text = b"0" + base64.b64encode(b"hello")
    assert heard(B64, Piece(text[:3], ends=False), Piece(text[3:], begins=False)) == [Input(b"hello")]
    assert encode(B64, 1, b"hello") == b"1" + base64.b64encode(b"hello")


@pytest.mark.parametrize("text", [b"x" + base64.b64encode(b"a"), b"0a", b"0" + bytes(channels.MAX_TEXT_BYTES + 1)])
def test_texts_that_are_not_base64_of_a_channel(text):
    with pytest.raises(ChannelError):
        heard(B64, Piece(text))


@pytest.mark.parametrize(
    "text", [b"{}", b"[1]", b'{"Width":"a","Height":1}', b'{"Width":0,"Height":1}', b'{"Width":99999,"Height":1}',
             b"nonsense", b'{"Width":true,"Height":1}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_size_changes_nothing(text):
    assert heard(V5, Piece(b"\x04" + text)) == []


def test_sizes_may_be_cut_anywhere():
    text = b'{"Width":80,"Height":24}\n{"Width":81,"Height":25}'
    reader = channels.SizeReader()
    assert [size for at in range(len(text)) for size in reader.feed(text[at : at + 1])] == [
        Resize(80, 24), Resize(81, 25),
    ]  # fmt: skip


@given(st.lists(st.builds(Piece, st.binary(max_size=40), st.booleans(), st.booleans())), st.sampled_from([V5, V4, B64]))
def test_any_pieces_are_read_or_refused(pieces, protocol):
    decoder = Decoder(protocol)
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    except ChannelError:
        return


def test_how_commands_end():
    assert outcome.of_exit(0) == {"metadata": {}, "status": "Success"}
    failed = outcome.of_exit(3)
    assert (failed["status"], failed["reason"]) == ("Failure", "NonZeroExitCode")
    assert failed["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RemoteError("no pod", kind=NOT_FOUND), 404),
        (RemoteError("no command", kind=BAD_REQUEST), 400),
        (RemoteError("no such file", kind=FAILED), 500),
        (Unavailable("gone"), 503),
    ],
)
def test_what_a_kubelet_s_refusal_becomes(error, code):
    assert outcome.refusal(error, "w1", "web").code == code
