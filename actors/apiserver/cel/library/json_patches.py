"""`jsonpatch.escapeKey('a/b')`: a key as it stands in the path of a JSON patch."""

from typing import Any

from actors.apiserver.cel.library.declaring import STRING, declare, function


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def functions() -> list[Any]:
    return [declare("jsonpatch.escapeKey", function("string_jsonpatch_escape_key", STRING, [STRING], _escaped))]
