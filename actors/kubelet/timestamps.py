"""RFC 3339 text of the times that the kubelet deals in: wall seconds, and the runtime's nanoseconds."""

import time
from datetime import datetime

NS_PER_S = 1_000_000_000


def rfc3339(seconds: float) -> str:
    """Return a metav1.Time: whole seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def rfc3339_of_ns(ns: int) -> str | None:
    """Return a metav1.Time of the runtime's nanoseconds; null where the runtime has none."""
    return rfc3339(ns / NS_PER_S) if ns > 0 else None


def rfc3339_micro(seconds: float) -> str:
    """Return a metav1.MicroTime, as a Lease has it."""
    micros = int(seconds * 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(micros // 1_000_000))}.{micros % 1_000_000:06d}Z"


def seconds_of(text: str) -> float:
    """Return wall seconds of an RFC 3339 time; ValueError where it is none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
