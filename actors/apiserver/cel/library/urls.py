"""`url('https://example.com:80/a?b=c')`: absolute URLs, and paths from the root."""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import BOOL, STRING, URL, Type, declare, function, method, succeeds

_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._"


def _split(text: str) -> Any:
    parts = urlsplit(text)
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: parse {text!r}: invalid URI for request")
    _ = parts.port  # raises ValueError for a port that is none
    return parts


def parse(text: str) -> Any:
    _split(text)
    return opaque.make("URL", text)


def _parts(value: Any) -> Any:
    return urlsplit(opaque.text_of(value))


def _host(value: Any) -> str:
    return _parts(value).netloc.rpartition("@")[2]


def _hostname(value: Any) -> str:
    host = _host(value)
    if host.startswith("["):
        return host[1 : host.index("]")]
    return host.partition(":")[0]


def _port(value: Any) -> str:
    port = _parts(value).port
    return "" if port is None else str(port)


def functions() -> list[Any]:
    queries = Type.Map(STRING, Type.List(STRING))
    return [
        declare("url", function("string_to_url", URL, [STRING], parse)),
        declare("isURL", function("is_url_string", BOOL, [STRING], succeeds(_split))),
        declare("getScheme", method("url_get_scheme", STRING, [URL], lambda u: _parts(u).scheme)),
        declare("getHost", method("url_get_host", STRING, [URL], _host)),
        declare("getHostname", method("url_get_hostname", STRING, [URL], _hostname)),
        declare("getPort", method("url_get_port", STRING, [URL], _port)),
        declare(
            "getEscapedPath", method("url_get_path", STRING, [URL], lambda u: quote(_parts(u).path, _SAFE_IN_PATH))
        ),
        declare(
            "getQuery",
            method("url_get_query", queries, [URL], lambda u: parse_qs(_parts(u).query, keep_blank_values=True)),
        ),
    ]
