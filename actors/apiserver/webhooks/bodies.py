"""Bodies of others' answers, read to their end and not beyond a limit.

Neighbours: `client` of this room, and what asks issuers of tokens and authorization webhooks.
"""

from typing import Any


class TooLong(Exception):
    """There is more of it than anybody wants to read."""


async def read_at_most(response: Any, most_bytes: int) -> bytes:
    """Return the body of an aiohttp response, which comes in pieces. Raises TooLong."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise TooLong(f"the response is larger than {most_bytes} bytes")
    return b"".join(parts)
