"""Header blocks of SPDY/3: name and value pairs, compressed with zlib and a preset dictionary, one context a direction.

What can go wrong: a block that is no zlib stream, is larger than allowed when decompressed, or lies about its lengths,
is a `HeaderError`, after which the direction's context is useless and the connection must end.

Source: SPDY/3 section 2.6.10. Neighbours: `connection` owns one compressor and one decompressor.
"""

import struct
import zlib
from collections.abc import Mapping

MAX_BLOCK_BYTES = 64 * 1024  # decompressed; the headers of a Kubernetes stream are about 100 bytes
DICTIONARY_ADLER32 = 0xE3C6A7C2  # what every SPDY/3 peer checks its own dictionary against

_LENGTH = struct.Struct("!I")

# Names and values that the dictionary holds with their lengths in front, then text that has none.
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_COUNTED = (*_NAMES.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_PLAIN = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(_LENGTH.pack(len(text)) + text.encode() for text in _COUNTED) + _PLAIN.encode()
assert zlib.adler32(DICTIONARY) == DICTIONARY_ADLER32, "SPDY/3's dictionary"


class HeaderError(Exception):
    """A header block that can't be read."""


class Compressor:
    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def pack(self, headers: Mapping[str, str]) -> bytes:
        """Return the block of these headers; blocks must be sent in the order they were packed."""
        parts = [_LENGTH.pack(len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")):
                parts += (_LENGTH.pack(len(text)), text)
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


class Decompressor:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def unpack(self, block: bytes) -> dict[str, str]:
        """Return the headers in a block; names are in lower case, repeated values are joined by a zero byte."""
        try:
            plain = self._inflate.decompress(block, MAX_BLOCK_BYTES)
        except zlib.error as error:
            raise HeaderError(f"header block is not zlib: {error}") from error
        if self._inflate.unconsumed_tail:
            raise HeaderError(f"header block is longer than {MAX_BLOCK_BYTES} bytes")
        return _pairs(plain)


def _pairs(plain: bytes) -> dict[str, str]:
    texts: list[str] = []
    try:
        (count,) = _LENGTH.unpack_from(plain)
        at = _LENGTH.size
        while at < len(plain):
            (length,) = _LENGTH.unpack_from(plain, at)
            at += _LENGTH.size
            if at + length > len(plain):
                raise HeaderError("header block is cut short")
            texts.append(plain[at : at + length].decode("latin-1"))
            at += length
    except struct.error as error:
        raise HeaderError("header block is cut short") from error
    if len(texts) != 2 * count:
        raise HeaderError(f"header block has {len(texts)} texts; {count} headers were announced")
    return dict(zip((name.lower() for name in texts[::2]), texts[1::2], strict=True))
