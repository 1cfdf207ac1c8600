"""`semver('1.2.3-rc.1')`: versions as semver.org orders them."""

import re
from typing import Any

from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import BOOL, INT, SEMVER, STRING, declare, function, method, succeeds

LONGEST = 256  # characters; a longer version is none
_PARTS = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
_WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(rf"{_PARTS}(?:-({_WORDS}))?(?:\+({_WORDS}))?").fullmatch
_LOOSE = re.compile(rf"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-({_WORDS}))?(?:\+({_WORDS}))?").fullmatch


def _canonical(text: str, normalize: bool = False) -> str:
    found = (_LOOSE if normalize else _SEMVER)(text) if len(text) <= LONGEST else None
    if found is None:
        raise ValueError(f"Invalid semver: {text[:LONGEST]!r}")
    numbers = ".".join(str(int(part or 0)) for part in found.groups()[:3])
    before, build = found.group(4), found.group(5)
    for word in (before or "").split("."):
        if word.isdigit() and word != "0" and word.startswith("0"):
            raise ValueError(f"Invalid semver: numeric pre-release {word} has leading zeros")
    return numbers + (f"-{before}" if before else "") + (f"+{build}" if build else "")


def parse(text: str, normalize: bool = False) -> Any:
    return opaque.make("Semver", _canonical(text, normalize))


def _order(value: Any) -> tuple:
    """A key to sort by: a version before its release is less than the release; builds do not count."""
    numbers, _, before = opaque.text_of(value).partition("+")[0].partition("-")
    words = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in before.split(".") if before)
    return tuple(int(part) for part in numbers.split(".")), 0 if before else 1, words


def _part(index: int) -> Any:
    return lambda value: _order(value)[0][index]


def compare(one: Any, other: Any) -> int:
    a, b = _order(one), _order(other)
    return (a > b) - (a < b)


def functions() -> list[Any]:
    from cel_expr_python import cel

    flagged = [STRING, cel.Type.BOOL]
    return [
        declare(
            "semver",
            function("string_to_semver", SEMVER, [STRING], parse),
            function("string_bool_to_semver", SEMVER, flagged, parse),
        ),
        declare(
            "isSemver",
            function("is_semver_string", BOOL, [STRING], succeeds(_canonical)),
            function("is_semver_string_bool", BOOL, flagged, succeeds(_canonical)),
        ),
        *(
            declare(name, method(f"semver_{name}", INT, [SEMVER], _part(index)))
            for index, name in enumerate(("major", "minor", "patch"))
        ),
    ]
