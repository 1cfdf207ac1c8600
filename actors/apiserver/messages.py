"""The Kubernetes API over the bus: the same verbs, paths and bodies as over HTTPS.

Sender: every component. Receiver: the API server. A caller's fault is not a bus error: `ApiReply` carries the HTTP
status and a `Status` body, as over HTTPS. A stream that is refused, or breaks, raises `RemoteError` of kind `STATUS`
with the `Status` object as its detail.
"""

from typing import ClassVar

from bus.record import Record, Request

COMPONENTS = frozenset({"scheduler", "controller-manager", "kubelet", "proxy", "dns", "balancer", "supervisor", "cli"})

STATUS = "status"
STATE_ANSWERS = "etcd-readiness"  # a check of /readyz: when it fails, others may be of use where this one is not


class ApiReply(Record, frozen=True, array_like=True, gc=False):
    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = {}


class ApiRequest(Request, frozen=True, array_like=True, gc=False):
    """One REST request. `path` is absolute and percent-encoded as in a URL, `query` is without its question mark."""

    method: ClassVar[str] = "api.request"
    roles: ClassVar[frozenset[str]] = COMPONENTS
    reply: ClassVar[type[Record]] = ApiReply

    verb: str
    path: str
    query: str = ""
    content_type: str = ""
    accept: str = "application/json"
    body: bytes = b""


class ApiChunk(Record, frozen=True, array_like=True, gc=False):
    """One or more whole lines, each a JSON watch event and a newline. Log bytes are cut anywhere."""

    data: bytes


class ApiStreamRequest(Request, frozen=True, array_like=True, gc=False):
    """A GET whose answer does not end by itself: a watch, or a followed log.

    `unhurried`: what is told of changes that follow one upon the other may be some ms late, and come at once.
    """

    method: ClassVar[str] = "api.stream"
    roles: ClassVar[frozenset[str]] = COMPONENTS
    reply: ClassVar[type[Record]] = ApiChunk
    stream: ClassVar[bool] = True

    path: str
    query: str = ""
    unhurried: bool = False
