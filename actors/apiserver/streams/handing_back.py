"""The answer of a server behind this one, as this one's own: whole when it has come already, else as it comes.

Neighbours: `exchange` has read the answer's head; `proxy` and `extensions.remote` hand requests on.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import cast

from actors.api import errors
from actors.apiserver.call import Answer, StreamAnswer, UpgradeAnswer
from actors.apiserver.streams.exchange import Exchange, HeaderPairs, Pairs, splice
from actors.apiserver.streams.pipe import Pipe, PipeBroken


async def hand_back(exchange: Exchange, pipe: Pipe, stack: AsyncExitStack, headers: Pairs) -> Answer | StreamAnswer:
    """Return the answer, with `headers` of the server's; the stack, which holds the way to it, is closed at its end."""
    if exchange.is_upgraded:
        pairs = [(name, value) for name, value in exchange.headers if name != "content-length"]
        return UpgradeAnswer(
            cast("dict[str, str]", HeaderPairs(pairs)), lambda wire: splice(wire, pipe, exchange.early), stack.aclose
        )
    passed = cast("dict[str, str]", HeaderPairs(headers))
    content_type = exchange.header("content-type") or "application/octet-stream"
    whole = exchange.at_hand()
    if whole is not None:
        await stack.aclose()
        return Answer(exchange.status, whole, content_type, passed)
    answer = StreamAnswer(_body(exchange), content_type, exchange.status, release=stack.aclose)
    answer.headers = passed
    return answer


async def _body(exchange: Exchange) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in exchange.body():
            yield piece
    except PipeBroken as error:
        raise errors.unavailable(str(error)) from error
