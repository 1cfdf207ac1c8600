"""What can go wrong between processes, and whose fault it is.

`Unavailable`, `Overloaded` and `DeadlineExceeded` are transient. After a deadline a write's outcome is *unknown*, never
*failed*. `ProtocolViolation` is a peer's fault. `Refused` and `RemoteError` are the caller's: the peer answered and
said no. An error crosses the wire as a code, a message and a detail; a traceback never does.
"""

from typing import Any


class BusError(Exception):
    """The base of everything the bus raises."""

    code = "internal"

    def __init__(self, message: str, detail: Any = None):
        super().__init__(message)
        self.message = message
        self.detail = detail


class Unavailable(BusError):
    """No peer could be reached, or the peer went away before it answered."""

    code = "unavailable"


class DeadlineExceeded(BusError):
    """No answer in time. If the request was a write, it may or may not have happened."""

    code = "deadline_exceeded"


class Overloaded(BusError):
    """The peer is at a limit. `detail` is {"retry_after_ms": int}."""

    code = "overloaded"

    @property
    def retry_after_ms(self) -> int:
        return int((self.detail or {}).get("retry_after_ms", 100))


class Refused(BusError):
    """The peer does not offer this method or version, or not to this role."""

    code = "refused"


class ProtocolViolation(BusError):
    """A peer sent what the protocol does not allow."""

    code = "protocol"


class StreamLost(BusError):
    """A stream ended before its end was sent: the peer died, or this reader was too slow."""

    code = "stream_lost"


class RemoteError(BusError):
    """The handler refused the request in the words of its role: `kind` names the case, `detail` holds its data."""

    code = "remote"

    def __init__(self, message: str, detail: Any = None, kind: str = ""):
        super().__init__(message, detail)
        self.kind = kind


_BY_CODE = {
    kind.code: kind
    for kind in (BusError, Unavailable, DeadlineExceeded, Overloaded, Refused, ProtocolViolation, StreamLost)
}


def to_wire(error: BusError) -> tuple[str, str, Any, str]:
    """Return (code, message, detail, kind) of an error."""
    return error.code, error.message, error.detail, getattr(error, "kind", "")


def from_wire(code: str, message: str, detail: Any, kind: str) -> BusError:
    """Return the error that a peer sent; a code that is not known here becomes a plain BusError."""
    if code == RemoteError.code:
        return RemoteError(message, detail, kind)
    return _BY_CODE.get(code, BusError)(message, detail)
