"""What the kubelet answers about the containers on its node: logs, commands, terminals, ports, and itself.

Sender: the API server, for `kubectl logs`, `exec`, `attach`, `port-forward` and `proxy`; the command line. Receiver:
the kubelet of the pod's node. Errors are `bus.RemoteError` whose kind is one of `ERRORS`; `message` is a sentence for
the user.
"""

from typing import Any, ClassVar

from bus.record import Record, Request

CALLERS = frozenset({"apiserver", "cli"})

NOT_FOUND = "not_found"  # no such pod or container on this node, or no earlier instance of it
BAD_REQUEST = "bad_request"  # contradicting options, an ambiguous container
NOT_RUNNING = "not_running"  # the container waits to start: no log yet, nothing to run a command in
TIMEOUT = "timeout"  # the command did not finish in time and was killed
UNSUPPORTED = "unsupported"  # the node is simulated: nothing runs in its containers
FAILED = "failed"  # the runtime could not do it: no such executable, say
UNREACHABLE = "unreachable"  # nobody listens at the port, or the address cannot be reached

ERRORS = frozenset({NOT_FOUND, BAD_REQUEST, NOT_RUNNING, TIMEOUT, UNSUPPORTED, FAILED, UNREACHABLE})

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


# Commands and attachments as streams. The kubelet's first item is Accepted, so that the API server can still refuse
# before it changes protocols; the last one is Exited. The end of the input is the end of stdin. A caller that lets go
# of the stream kills the command of an exec; an attachment ends without harm to its container.


class Accepted(Record, frozen=True, array_like=True, gc=False, tag="accepted"):
    """The container is there and runs; what follows is the command's."""


class Output(Record, frozen=True, array_like=True, gc=False, tag="output"):
    """Bytes of the process, cut anywhere."""

    data: bytes
    is_stderr: bool = False


class Exited(Record, frozen=True, array_like=True, gc=False, tag="exited"):
    """The process has ended, all its output has been sent. An attachment's is 0, whatever became of the container."""

    exit_code: int


class Input(Record, frozen=True, array_like=True, gc=False, tag="input"):
    """Bytes for the process's stdin."""

    data: bytes


class InputEnd(Record, frozen=True, array_like=True, gc=False, tag="end"):
    """The end of stdin. Sizes may still follow."""


class Resize(Record, frozen=True, array_like=True, gc=False, tag="resize"):
    """The size of the terminal, in characters."""

    width: int
    height: int


ProcessInput = Input | InputEnd | Resize
ProcessOutput = Accepted | Output | Exited


class ExecStreamRequest(Request, frozen=True, array_like=True, gc=False):
    """Run a command in a container, with its input and output as they come."""

    method: ClassVar[str] = "kubelet.exec_stream"
    roles: ClassVar[frozenset[str]] = CALLERS
    reply: ClassVar[Any] = ProcessOutput
    stream: ClassVar[bool] = True
    input: ClassVar[Any] = ProcessInput

    namespace: str
    pod: str
    container: str
    command: list[str]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False
    uid: str = ""


class AttachRequest(Request, frozen=True, array_like=True, gc=False):
    """Take part in the input and output of a container's own process, from now on."""

    method: ClassVar[str] = "kubelet.attach"
    roles: ClassVar[frozenset[str]] = CALLERS
    reply: ClassVar[Any] = ProcessOutput
    stream: ClassVar[bool] = True
    input: ClassVar[Any] = ProcessInput

    namespace: str
    pod: str
    container: str = ""
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    uid: str = ""


class TunnelData(Record, frozen=True, array_like=True, gc=False):
    """Bytes of a TCP connection, cut anywhere. The first item that the kubelet sends is empty: it is connected."""

    data: bytes


class TunnelRequest(Request, frozen=True, array_like=True, gc=False):
    """A TCP connection to a pod, made by its node's kubelet. The end of either way is the end of that way's bytes."""

    method: ClassVar[str] = "kubelet.tunnel"
    roles: ClassVar[frozenset[str]] = CALLERS
    reply: ClassVar[type[Record]] = TunnelData
    stream: ClassVar[bool] = True
    input: ClassVar[Any] = TunnelData

    namespace: str
    pod: str
    port: int
    inside: bool = True  # to the pod's own loopback, as port-forward does; else to its address, as the proxy does
    uid: str = ""


class NodeReply(Record, frozen=True, array_like=True, gc=False):
    status: int
    content_type: str
    body: bytes


class NodeRequest(Request, frozen=True, array_like=True, gc=False):
    """What other kubelets say over HTTP on port 10250 about themselves: a GET of a path, such as /healthz or /pods."""

    method: ClassVar[str] = "kubelet.node"
    roles: ClassVar[frozenset[str]] = CALLERS
    reply: ClassVar[type[Record]] = NodeReply

    node: str
    path: str
    query: str = ""
