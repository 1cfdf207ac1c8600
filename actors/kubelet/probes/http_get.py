"""One HTTP/1.1 GET, as a probe sends it: no keep-alive, certificates unchecked, a bounded answer, few redirects.

Small on purpose: a client library would cost each kubelet several megabytes for this one use.
"""

import asyncio
import functools
import ssl
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

MAX_HEAD_BYTES = 64 * 1024  # of status line and headers; a longer head is a failure
MAX_BODY_BYTES = 10 * 1024  # what is read of a body; the rest does not matter to a probe
MAX_REDIRECTS = 10
USER_AGENT = "kube-probe/1.36"


class HttpFailure(Exception):
    """No HTTP answer could be had."""


async def http_get(
    scheme: str, host: str, port: int, path: str, headers: Sequence[tuple[str, str]] = ()
) -> tuple[int, bytes]:
    """Return (status, the beginning of the body). A redirect to another host ends it, as its own status."""
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path if path.startswith('/') else '/' + path}"
    for _ in range(MAX_REDIRECTS):
        status, location, body = await _once(url, headers)
        if not (300 <= status < 400 and location):
            return status, body
        following = urljoin(url, location)
        if urlsplit(following).hostname != urlsplit(url).hostname:
            return status, body
        url = following
    raise HttpFailure(f'Get "{url}": stopped after {MAX_REDIRECTS} redirects')


async def _once(url: str, headers: Sequence[tuple[str, str]]) -> tuple[int, str, bytes]:
    parts = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port, ssl=_unchecked() if parts.scheme == "https" else None, limit=MAX_HEAD_BYTES
        )
        try:
            writer.write(_request(url, headers))
            status, location = _read_head(await _head(reader))
            return status, location, await reader.read(MAX_BODY_BYTES)
        finally:
            writer.close()
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise HttpFailure(f'Get "{url}": {text}') from error


async def _head(reader: asyncio.StreamReader) -> list[str]:
    """Return the lines up to the empty one. They may end without a carriage return: what CGI scripts print does."""
    lines: list[str] = []
    size = 0
    while True:
        line = await reader.readline()
        size += len(line)
        if size > MAX_HEAD_BYTES:
            raise ValueError(f"the response's head has more than {MAX_HEAD_BYTES} bytes")
        if not line.endswith(b"\n"):
            raise EOFError("unexpected EOF")
        if line in (b"\r\n", b"\n"):
            return lines
        lines.append(line.decode("latin-1").rstrip("\r\n"))


def _request(url: str, headers: Sequence[tuple[str, str]]) -> bytes:
    parts = urlsplit(url)
    given = {name.lower() for name, _ in headers}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {path} HTTP/1.1"]
    defaults = (("Host", parts.netloc), ("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Connection", "close"))
    lines += [f"{name}: {value}" for name, value in defaults if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in headers]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _read_head(lines: Sequence[str]) -> tuple[int, str]:
    version, _, rest = (lines[0] if lines else "").partition(" ")
    if not version.startswith("HTTP/") or not rest[:3].isdigit():
        raise ValueError("malformed HTTP response")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "location":
            return int(rest[:3]), value.strip()
    return int(rest[:3]), ""


@functools.cache
def _unchecked() -> ssl.SSLContext:
    """Probes do not check certificates: the API promises so. None are loaded, which would take longer than a probe."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
