"""gzip of large answers, for clients that take it: client-go does, and over a network a list arrives sooner for it.

Small answers go as they are, for nothing is gained there. Level 1, as in Kubernetes: the others cost several times as
much for a few percent. zlib lets the loop run on meanwhile, so it works in a thread; a long list is written piece by
piece, and so never lies in memory whole, compressed or not.

Neighbour: `http_front` asks, and writes what this makes.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

from actors.apiserver.call import Answer, LongAnswer
from actors.apiserver.http_request import Request

GZIP_FROM_BYTES = 128 << 10  # Kubernetes' bound: what is larger is compressed
LEVEL = 1
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
HEAD = b"content-encoding: gzip\r\nvary: accept-encoding\r\n"


def wanted_for(request: Request, answer: Answer) -> bool:
    """Tell whether an answer is to be compressed: it is large, its reader takes gzip, and nobody has encoded it."""
    return (
        answer.size_bytes > GZIP_FROM_BYTES
        and request.method != "HEAD"
        and _takes_gzip(request)
        and not any(name.lower() == "content-encoding" for name in answer.headers)
    )


_REFUSED = (b"q=0", b"q=0.", b"q=0.0", b"q=0.00", b"q=0.000")  # a weight of nothing, as it may be written


def _takes_gzip(request: Request) -> bool:
    for name, value in request.others:
        if name == b"accept-encoding":
            for choice in value.lower().split(b","):
                coding, _, weight = choice.partition(b";")
                if coding.strip() == b"gzip" and weight.replace(b" ", b"") not in _REFUSED:
                    return True
    return False


async def compressed(answer: Answer) -> Answer:
    """Return an answer that is not written in pieces, with its body compressed."""
    body = await asyncio.to_thread(zlib.compress, answer.body, LEVEL, _GZIP_FORMAT)
    return Answer(answer.status, body, answer.content_type, answer.headers, answer.warnings)


async def pieces(answer: LongAnswer) -> AsyncIterator[bytes]:
    """Yield the compressed body of a long answer; a piece may be empty, when nothing is ready yet."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    for piece in answer.pieces():
        yield await asyncio.to_thread(compressor.compress, piece)
    yield compressor.flush()
