"""What the kubelet answers about the containers on its node: logs and commands.

Sender: the API server, for `kubectl logs` and `kubectl exec`; the command line. Receiver: the kubelet of the pod's
node. Errors are `bus.RemoteError` whose kind is one of `ERRORS`; `message` is a sentence for the user.
"""

from typing import ClassVar

from bus.record import Record, Request

CALLERS = frozenset({"apiserver", "cli"})

NOT_FOUND = "not_found"  # no such pod or container on this node, or no earlier instance of it
BAD_REQUEST = "bad_request"  # contradicting options, an ambiguous container
NOT_RUNNING = "not_running"  # the container waits to start: no log yet, nothing to run a command in
TIMEOUT = "timeout"  # the command did not finish in time and was killed

ERRORS = frozenset({NOT_FOUND, BAD_REQUEST, NOT_RUNNING, TIMEOUT})

MAX_EXEC_OUTPUT_BYTES = 16 * 1024 * 1024  # of stdout and stderr each; the CRI's own bound for ExecSync


class LogChunk(Record, frozen=True, array_like=True, gc=False):
    """Bytes of a log, cut anywhere."""

    data: bytes


class LogsRequest(Request, frozen=True, array_like=True, gc=False):
    """Stream a container's log. Ends at the end of the log, or with `follow` when the container is gone."""

    method: ClassVar[str] = "kubelet.logs"
    roles: ClassVar[frozenset[str]] = CALLERS
    reply: ClassVar[type[Record]] = LogChunk
    stream: ClassVar[bool] = True

    namespace: str
    pod: str
    container: str = ""  # empty: the pod's only container, or its default one
    uid: str = ""  # empty: whichever pod has the name now
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""  # RFC 3339; not together with since_seconds
    timestamps: bool = False
    limit_bytes: int | None = None
    stream_name: str = "All"  # All | Stdout | Stderr


class ExecReply(Record, frozen=True, array_like=True, gc=False):
    exit_code: int
    stdout: bytes
    stderr: bytes


class ExecRequest(Request, frozen=True, array_like=True, gc=False):
    """Run a command in a container to its end, without input."""

    method: ClassVar[str] = "kubelet.exec"
    roles: ClassVar[frozenset[str]] = CALLERS
    reply: ClassVar[type[Record]] = ExecReply
    once: ClassVar[bool] = True

    namespace: str
    pod: str
    container: str
    command: list[str]
    timeout_s: float = 0.0  # 0: as long as the request itself lives
    uid: str = ""
