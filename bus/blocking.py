"""The client for code that has no loop: a command, a test, a notebook. It runs a private loop for each call."""

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from bus.client import Client, Endpoints
from bus.keys import Keyring
from bus.pubsub import Hint, Subscriber
from bus.record import Request
from bus.transport import ZmqTransport


class BlockingClient:
    """`with BlockingClient("cli@host") as client: client.request(endpoint, request)`

    With a keyring, endpoints on the network can be asked too.
    """

    def __init__(self, sender: str, *, keyring: Keyring | None = None):
        self.sender = sender
        self._keyring = keyring
        self._runner = asyncio.Runner()
        self._client: Client | None = None

    def request(self, endpoints: Endpoints, request: Request, *, timeout_s: float = 5.0, retry: bool = False) -> Any:
        """Return the reply record; raises as `Client.request` does."""
        return self._runner.run(self._request(endpoints, request, timeout_s, retry))

    def stream(self, endpoints: Endpoints, request: Request, *, timeout_s: float = 5.0) -> Iterator[Any]:
        """Yield the records of a stream; stop the iteration to end it."""

        async def records() -> Any:
            async with self._of_loop().stream(endpoints, request, timeout_s=timeout_s) as items:
                async for item in items:
                    yield item

        return self._each(records())

    def hints(self, endpoints: list[str], topic: str) -> Iterator[Hint]:
        """Yield what is published under a topic's prefix, for ever."""

        async def heard() -> Any:
            subscriber = Subscriber(endpoints, [topic], keyring=self._keyring)
            try:
                async for hint in subscriber:
                    yield hint
            finally:
                subscriber.close()

        return self._each(heard())

    def close(self) -> None:
        if self._client is not None:
            self._runner.run(self._close())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _of_loop(self) -> Client:
        if self._client is None:
            self._client = Client(self.sender, ZmqTransport(self._keyring))
        return self._client

    async def _request(self, endpoints: Endpoints, request: Request, timeout_s: float, retry: bool) -> Any:
        return await self._of_loop().request(endpoints, request, timeout_s=timeout_s, retry=retry)

    async def _close(self) -> None:
        self._of_loop().close()

    def _each(self, items: Any) -> Iterator[Any]:
        async def following() -> tuple[bool, Any]:
            try:
                return True, await items.__anext__()
            except StopAsyncIteration:
                return False, None

        try:
            while True:
                more, item = self._runner.run(following())
                if not more:
                    return
                yield item
        finally:
            self._runner.run(items.aclose())
