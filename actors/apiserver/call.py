"""One request and its answer, whichever door it came through.

The HTTPS front and the bus front make an `ApiCall`, the handler turns it into an `Answer` or a `StreamAnswer`. Neither
knows of the other's wire: that is what makes the API over the bus the same API.

Neighbours: `http_front` and `bus_front` build calls and send answers; `handler` stands between.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from actors.api.errors import ApiError

if TYPE_CHECKING:
    from actors.apiserver.streams.wire import Wire

JSON = "application/json"
NO_HEADERS: Mapping[str, str] = {}
MAX_BODY_BYTES = 3 << 20  # Kubernetes' limit of a request's body; a larger one is answered with 413

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
ANONYMOUS_USER = "system:anonymous"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `nodes` are the nodes a kubelet speaks for; it is empty for everybody else."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()

    @property
    def is_master(self) -> bool:
        return MASTERS in self.groups

    def user_info(self) -> dict[str, Any]:
        """The authentication.k8s.io UserInfo."""
        info: dict[str, Any] = {"username": self.user}
        if self.uid:
            info["uid"] = self.uid
        info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


ANONYMOUS = Identity(ANONYMOUS_USER, (UNAUTHENTICATED,))


class AnswerEncoding(Protocol):
    """How an answer is written where its client wants something else than JSON."""

    asked: str  # what the client accepts

    def check(self, api_version: str, kind: str, is_watch: bool) -> None:
        """Refuse what could not be written so. Raises ApiError NotAcceptable."""

    def takes_long(self, answer: "Answer | StreamAnswer") -> bool:
        """Whether `of` is work for a thread, while others are served."""

    def of(self, answer: "Answer | StreamAnswer") -> "Answer | StreamAnswer":
        """Return an answer, written so."""


class ApiCall:
    """A request as it came. `method` is HTTP's; `raw_path` is percent-encoded; `deadline` is on the monotonic clock.

    `upgrade` is the protocol that the client wants to change to; `others` are the headers that have no field here, in
    lower case. Only streams and proxies look at them.
    """

    __slots__ = (
        "accept", "annotations", "answer_head", "audit_id", "body", "content_type", "deadline", "encoding", "identity",
        "impersonator", "method", "others", "query", "raw_path", "source", "task", "unhurried", "upgrade",
        "user_agent",
    )  # fmt: skip

    def __init__(
        self,
        identity: Identity,
        method: str,
        raw_path: str,
        query: str = "",
        *,
        content_type: str = "",
        accept: str = "",
        body: bytes = b"",
        user_agent: str = "",
        deadline: float = 0.0,
        upgrade: str = "",
        others: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.identity = identity
        self.method = method
        self.raw_path = raw_path
        self.query = query
        self.content_type = content_type
        self.accept = accept
        self.body = body
        self.user_agent = user_agent
        self.deadline = deadline
        self.upgrade = upgrade
        self.others = others
        self.audit_id = ""  # by which the audit log, and the client, know the request
        self.annotations: dict[str, str] = {}  # what the audit log is told of the request besides
        self.answer_head = b""  # header lines of the answer, as HTTP writes them
        self.impersonator: Identity | None = None  # who it really is that acts as `identity`
        self.source = ""  # the address that it came from
        self.unhurried = False  # a watch that may be told of changes some ms late
        self.encoding: AnswerEncoding | None = None  # of its answer; None: JSON as it is stored
        self.task: asyncio.Task[None] | None = None  # in which it is handled, where that is known

    def header(self, name: str) -> str:
        """Return a header that has no field of its own; empty when it did not come."""
        wanted = name.encode()
        return ", ".join(value.decode("latin-1") for key, value in self.others if key == wanted)


class Answer:
    """A whole response. `warnings` become Warning headers."""

    __slots__ = ("body", "content_type", "headers", "status", "warnings")

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = JSON,
        headers: Mapping[str, str] = NO_HEADERS,
        warnings: list[str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.warnings = warnings

    @property
    def size_bytes(self) -> int:
        return len(self.body)


class LongAnswer(Answer):
    """A response that is never put together: its pieces are made when the reader has room for them."""

    __slots__ = ("_size_bytes", "pieces")

    def __init__(self, pieces: Callable[[], Iterator[bytes]], size_bytes: int, content_type: str = JSON) -> None:
        self.status = 200
        self.pieces = pieces
        self._size_bytes = size_bytes
        self.content_type = content_type
        self.headers = NO_HEADERS
        self.warnings = None

    @property
    def body(self) -> bytes:  # type: ignore[override]
        """All of it, for readers that take nothing else."""
        return b"".join(self.pieces())

    @property
    def size_bytes(self) -> int:
        return self._size_bytes


async def _nothing() -> AsyncGenerator[bytes, None]:
    """Yield no chunk."""
    chunks: tuple[bytes, ...] = ()
    for chunk in chunks:
        yield chunk


class StreamAnswer:
    """A response that goes on: `chunks` yields bytes, each whole lines of a watch or any piece of a log.

    Whoever takes a StreamAnswer owes it `close`, also when no chunk was ever asked for. A reader that can write without
    waiting may give `push_to` a function that writes a chunk and returns True, or returns False when it cannot now: it
    then gets chunks past the iterator, in the same order, which spares a task's wake-up for each. `release` frees what
    stands behind the chunks.
    """

    __slots__ = ("_on_close", "_release", "chunks", "content_type", "headers", "push_to", "status")

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        content_type: str = JSON,
        status: int = 200,
        on_close: Callable[[], None] | None = None,
        push_to: Callable[[Callable[[bytes], bool]], None] | None = None,
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.chunks = chunks
        self.content_type = content_type
        self.status = status
        self._on_close = [on_close] if on_close is not None else []
        self.push_to = push_to
        self.headers: Mapping[str, str] = NO_HEADERS
        self._release = release

    def when_closed(self, action: Callable[[], None]) -> None:
        """Have something done when the stream has ended, however it did."""
        self._on_close.append(action)

    async def close(self) -> None:
        """End the work behind the stream; idempotent."""
        actions, self._on_close = self._on_close, []
        for action in actions:
            action()
        await self.chunks.aclose()
        release, self._release = self._release, None
        if release is not None:
            await release()


class UpgradeAnswer(StreamAnswer):
    """The end of HTTP on a connection: after a 101 with these headers, `run` has its bytes, until it returns."""

    __slots__ = ("run",)

    def __init__(
        self,
        headers: Mapping[str, str],
        run: "Callable[[Wire], Awaitable[None]]",
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(_nothing(), status=101, release=release)
        self.headers = headers
        self.run = run


def of_object(obj: Any, status: int = 200) -> Answer:
    """Answer with an object that is not a stored one."""
    return Answer(status, orjson.dumps(obj))


def of_error(error: ApiError) -> Answer:
    """Answer with a refusal: its Status, and Retry-After where it has one."""
    status = error.status()
    details = status.get("details") or {}
    retry_after_s = details.get("retryAfterSeconds")
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else NO_HEADERS
    return Answer(error.code, orjson.dumps(status), JSON, headers)
