"""The bytes that HTTP/1.1 puts around answers: status lines, lines of headers, chunks, and refusals that need no more.

Neighbours: `http_connection` writes them.
"""

from functools import lru_cache
from http import HTTPStatus


class _StatusLines(dict[int, bytes]):
    """Status lines. One that no standard knows, handed on by a proxy, is made when it comes."""

    def __missing__(self, status: int) -> bytes:
        return b"HTTP/1.1 %d Unknown\r\n" % status


STATUS_LINES = _StatusLines(
    {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MALFORMED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_LARGE_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
COMMON = b"cache-control: no-cache, private\r\n"
CLOSE = b"connection: close\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


chunk_for_many = lru_cache(maxsize=1)(chunk)  # what a channel tells its watchers, one after the other
