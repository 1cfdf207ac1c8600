"""`'a1b2'.find('[0-9]')` and `findAll`, by RE2: linear in the text whatever the pattern is."""

from typing import Any

from actors.apiserver.cel.library.declaring import INT, STRING, Type, declare, method
from actors.apiserver.patterns import BadPattern, compile_pattern


def _compiled(pattern: str) -> Any:
    try:
        return compile_pattern(pattern)
    except BadPattern as error:
        raise ValueError(f"Illegal regex: {error}") from error


def _find(text: str, pattern: str) -> str:
    found = _compiled(pattern).search(text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    for match in _compiled(pattern).finditer(text):
        if 0 <= limit <= len(found):
            break
        found.append(match.group())
    return found


def functions() -> list[Any]:
    texts = Type.List(STRING)
    return [
        declare("find", method("string_find_string", STRING, [STRING, STRING], _find)),
        declare(
            "findAll",
            method("string_find_all_string", texts, [STRING, STRING], _find_all),
            method("string_find_all_string_int", texts, [STRING, STRING, INT], _find_all),
        ),
    ]
