"""The GET of a probe, against servers that say what they are told to."""

import asyncio

import pytest

from actors.kubelet.probes.http_get import MAX_HEAD_BYTES, HttpFailure, _unchecked, http_get


def answer_to(*said: bytes) -> tuple[int, bytes]:
    """Ask a server that says these bytes and closes; one answer for each request."""
    answers = iter(said)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        writer.close()

    async def ask() -> tuple[int, bytes]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await http_get("http", "127.0.0.1", server.sockets[0].getsockname()[1], "/")

    return asyncio.run(ask())


def test_an_answer():
    assert answer_to(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody") == (200, b"body")


def test_lines_as_scripts_print_them():
    assert answer_to(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\n\nbody") == (200, b"body")


def test_a_redirect_is_followed():
    moved = b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n"
    assert answer_to(moved, b"HTTP/1.1 204 No Content\r\n\r\n") == (204, b"")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nX: y", "unexpected EOF"),
        (b"hello\r\n\r\n", "malformed HTTP response"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES, "more than"),
    ],
)
def test_what_is_no_answer(said: bytes, why: str):
    with pytest.raises(HttpFailure, match=why):
        answer_to(said)


def test_no_certificates_are_loaded_that_nobody_checks():
    assert _unchecked().cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    assert _unchecked() is _unchecked()
