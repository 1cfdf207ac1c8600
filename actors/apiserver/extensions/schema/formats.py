"""The string formats that Kubernetes checks; any other format of a schema is a remark.

Each check is linear in the text. Neighbours: `checks` calls them.
"""

import binascii
import datetime
import ipaddress
import re
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

LONGEST_CHECKED = 4096  # characters: nothing that has one of these formats is longer, save base64

_HOSTNAME = re.compile(
    r"(?=.{1,255}\Z)[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?(?:\.[0-9A-Za-z-]{1,63})*\.?"
).fullmatch
_EMAIL = re.compile(r"[^@\s\"(),:;<>\[\]\\]{1,64}@[0-9A-Za-z.-]{1,253}").fullmatch
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)?", re.ASCII).fullmatch
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = "ns|nanos?|us|micros?|ms|millis?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?"
_WORD_DURATION = re.compile(rf"\d+\s*(?:{_UNITS})").fullmatch
_TWO = "[0-9A-Fa-f]{2}"
_MAC = re.compile(rf"(?:{_TWO}[:-]){{5}}{_TWO}|(?:{_TWO}[:-]){{7}}{_TWO}|(?:{_TWO}{_TWO}\.){{2}}{_TWO}{_TWO}").fullmatch
_NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_MAX_DURATION_NS = 2**63 - 1


def duration_ns(text: str) -> int:
    """Return a Go duration such as 1h30m in nanoseconds. Raises ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, position = 0.0, 0
    while position < len(rest):
        found = _DURATION_PART.match(rest, position)
        if found is None:
            raise ValueError(f"time: invalid duration {text!r}")
        total += float(found.group(1)) * _NANOSECONDS[found.group(2)]
        position = found.end()
    if not rest or total > _MAX_DURATION_NS:
        raise ValueError(f"time: invalid duration {text!r}")
    return sign * round(total)


def _is_duration(text: str) -> bool:
    if _WORD_DURATION(text):
        return True
    duration_ns(text)
    return True


def _is_date(text: str) -> bool:
    datetime.datetime.strptime(text, "%Y-%m-%d")
    return len(text) == 10


def parse_date_time(text: str) -> datetime.datetime:
    """Return the moment of an RFC 3339 text. Raises ValueError."""
    if not _DATE_TIME(text):
        raise ValueError(f"{text!r} is no date and time")
    moment = datetime.datetime.fromisoformat(text.upper().replace(" ", "T"))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _is_date_time(text: str) -> bool:
    parse_date_time(text)
    return True


def _is_address(version: int) -> Callable[[str], bool]:
    return lambda text: ipaddress.ip_address(text).version == version and "%" not in text


def _is_cidr(text: str) -> bool:
    return "/" in text and bool(ipaddress.ip_interface(text))


def _is_uuid(version: int | None) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        if len(text) not in (32, 36):
            return False
        found = uuid.UUID(text)
        return version is None or found.version == version

    return check


def _is_base64(text: str) -> bool:
    binascii.a2b_base64(text.replace("\n", "").replace("\r", ""), strict_mode=True)
    return True


def _is_uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme or text.startswith("/")) and not any(c.isspace() for c in text)


def _matches(pattern: str) -> Callable[[str], bool]:
    found = re.compile(pattern, re.ASCII).fullmatch
    return lambda text: found(text) is not None


def _is_isbn(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "").upper()
    if len(digits) == 13 and digits.isdigit():
        return sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0
    if len(digits) != 10 or not digits[:9].isdigit() or digits[9] not in "0123456789X":
        return False
    return sum((10 if d == "X" else int(d)) * (10 - i) for i, d in enumerate(digits)) % 11 == 0


def _is_credit_card(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not digits.isdigit() or not 13 <= len(digits) <= 19:
        return False
    doubled = (int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits)))
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


_CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(r"[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": lambda text: _EMAIL(text) is not None,
    "hostname": lambda text: _HOSTNAME(text) is not None,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "cidr": _is_cidr,
    "mac": lambda text: _MAC(text) is not None,
    "uuid": _is_uuid(None),
    "uuid3": _is_uuid(3),
    "uuid4": _is_uuid(4),
    "uuid5": _is_uuid(5),
    "isbn": _is_isbn,
    "isbn10": lambda text: len(text.replace("-", "").replace(" ", "")) == 10 and _is_isbn(text),
    "isbn13": lambda text: len(text.replace("-", "").replace(" ", "")) == 13 and _is_isbn(text),
    "creditcard": _is_credit_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matches(r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)"),
    "byte": _is_base64,
    "date": _is_date,
    "duration": _is_duration,
    "date-time": _is_date_time,
    "datetime": _is_date_time,
}
KNOWN = frozenset(_CHECKS)


def has_format(text: str, name: str) -> bool:
    """True when a text has one of the KNOWN formats."""
    if len(text) > LONGEST_CHECKED and name != "byte":
        return False
    try:
        return _CHECKS[name](text)
    except ValueError:
        return False
