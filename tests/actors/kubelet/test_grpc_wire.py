"""gRPC's part of HTTP/2, as functions."""

import pytest

from actors.kubelet.grpc_wire import CallFailed, Messages, failure_of, failure_of_reset, framed, timeout_header


def test_messages_are_put_together_however_they_were_cut():
    data = framed(b"one") + framed(b"") + framed(b"three")
    for size in range(1, len(data) + 1):
        messages, whole = Messages(limit_bytes=5), []
        for begin in range(0, len(data), size):
            whole += messages.feed(data[begin : begin + size])
        assert whole == [b"one", b"", b"three"], size


@pytest.mark.parametrize(
    ("data", "code"), [(framed(b"123456"), "RESOURCE_EXHAUSTED"), (b"\x01\0\0\0\x01x", "INTERNAL")]
)
def test_a_message_that_can_t_be_taken_is_refused_as_soon_as_its_head_is_there(data, code):
    with pytest.raises(CallFailed) as failed:
        Messages(limit_bytes=5).feed(data[:5])
    assert failed.value.code == code


@pytest.mark.parametrize(
    ("timeout_s", "header"),
    [(0.0001, "1m"), (0.0101, "11m"), (10, "10000m"), (99_999.999, "99999999m"), (100_000, "100000S")],
)
def test_a_deadline_is_rounded_up_and_has_eight_digits_at_most(timeout_s, header):
    assert timeout_header(timeout_s) == header


@pytest.mark.parametrize(
    ("headers", "code", "details"),
    [
        ({":status": "200", "grpc-status": "5", "grpc-message": "no %22x%22: %C3%A4"}, "NOT_FOUND", 'no "x": ä'),
        ({":status": "200", "grpc-status": "16"}, "UNAUTHENTICATED", ""),
        ({":status": "200", "grpc-status": "99"}, "UNKNOWN", ""),
        ({":status": "200", "grpc-status": "-1"}, "UNKNOWN", ""),
        ({":status": "200", "grpc-status": "²"}, "UNKNOWN", ""),
        ({":status": "404"}, "UNIMPLEMENTED", "no gRPC status, HTTP status 404"),
        ({":status": "503"}, "UNAVAILABLE", "no gRPC status, HTTP status 503"),
        ({":status": "200"}, "UNKNOWN", "no gRPC status, HTTP status 200"),
        ({}, "UNKNOWN", "no gRPC status, HTTP status missing"),
    ],
)
def test_failures(headers, code, details):
    failure = failure_of(headers)
    assert failure is not None
    assert (failure.code, failure.details) == (code, details)


def test_ok_is_no_failure():
    assert failure_of({":status": "200", "grpc-status": "0"}) is None


@pytest.mark.parametrize(("error", "code"), [(0x7, "UNAVAILABLE"), (0x8, "CANCELLED"), (0x2, "INTERNAL")])
def test_a_stream_that_is_reset(error, code):
    assert failure_of_reset(error).code == code
