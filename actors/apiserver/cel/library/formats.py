"""`format.dns1123Label().validate('a_b')`: what is wrong with a text, as an optional list of messages.

Source: Kubernetes' CEL library `format`. Neighbours: `methods` writes `validate` and `format.named` as the calls that
are declared here; `actors.api.names` has the checks of names.
"""

import base64
import binascii
import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from actors.api import names
from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import DYN, FORMAT, STRING, Type, declare, function

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE).fullmatch
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)").fullmatch

Check = Callable[[str], Iterable[str]]


def _uri(text: str) -> list[str]:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        return [f"parse {text!r}: {error}"]
    if any(c.isspace() or not c.isprintable() for c in text) or not (parts.scheme or text.startswith("/")):
        return [f'parse "{text}": invalid URI for request']
    return []


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    try:
        datetime.datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return ["invalid date"]
    return [] if len(text) == len("2006-01-02") else ["invalid date"]


def _date_time(text: str) -> list[str]:
    if _DATE_TIME(text) is None:
        return ["invalid datetime"]
    try:
        datetime.datetime.fromisoformat(text.upper())
    except ValueError:
        return ["invalid datetime"]
    return []


FORMATS: dict[str, Check] = {
    "byte": _byte,
    "date": _date,
    "datetime": _date_time,
    "dns1035Label": names.dns_label_1035,
    "dns1035LabelPrefix": lambda text: names.dns_label_1035(text, True),
    "dns1123Label": names.dns_label,
    "dns1123LabelPrefix": lambda text: names.dns_label(text, True),
    "dns1123Subdomain": names.dns_subdomain,
    "dns1123SubdomainPrefix": lambda text: names.dns_subdomain(text, True),
    "labelValue": names.label_value,
    "qualifiedName": names.qualified_name,
    "uri": _uri,
    "uuid": lambda text: [] if _UUID(text) else ["does not match the UUID format"],
}


def _made(name: str) -> Callable[[], Any]:
    return lambda: opaque.make("Format", name)


def _named(name: str) -> Any:
    """Return the format; None, of which no optional is made, when there is none of this name."""
    return opaque.make("Format", name) if name in FORMATS else None


def _validate(of: Any, text: str) -> list[str]:
    return list(FORMATS[opaque.text_of(of)](text))


def functions() -> list[Any]:
    texts = Type.List(STRING)
    return [
        *(declare(f"format.{name}", function(f"format_{name.lower()}", FORMAT, [], _made(name))) for name in FORMATS),
        declare("kubernetes.namedFormat", function("format_named", DYN, [STRING], _named)),
        declare("kubernetes.validated", function("format_validate", texts, [FORMAT, STRING], _validate)),
    ]
