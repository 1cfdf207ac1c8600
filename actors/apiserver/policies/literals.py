"""`Object{spec: Object.spec{replicas: 3}}` and `JSONPatch{op: "add", ...}` as the maps that they mean. Pure.

Kubernetes declares a type for each part of an object, so that expressions of mutating policies can construct it. Types
that are made up for one policy are more than the evaluator offers here; what is constructed is a map anyway, so the
text is rewritten before it is compiled: the name goes, and the fields' names become strings.

Neighbours: `expressions` compiles what comes out.
"""

import re

_TOKEN = re.compile(
    r"""
    (?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<comment>//[^\n]*)
    |(?P<space>\s+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\s*\.\s*[A-Za-z_][A-Za-z0-9_]*)*)
    |(?P<quoted>`[^`\n]*`)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CONSTRUCTED = re.compile(r"Object(\.[A-Za-z_][A-Za-z0-9_]*)*|JSONPatch")
_ESCAPES = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}
_OPENING, _CLOSING = frozenset("{[("), frozenset("}])")


def rewritten(expression: str) -> str:
    """Return the expression with constructions written as maps; others come back as they are."""
    if "Object" not in expression and "JSONPatch" not in expression:
        return expression
    tokens = [(match.lastgroup or "other", match.group()) for match in _TOKEN.finditer(expression)]
    out: list[str] = []
    braces: list[bool] = []  # is each open bracket that of a construction?
    expects_field = False
    before = ""
    for i, (kind, text) in enumerate(tokens):
        if kind in ("space", "comment"):
            out.append(text)
            continue
        following = _following(tokens, i)
        if kind == "name" and before != "." and following == "{" and _CONSTRUCTED.fullmatch(_joined(text)):
            before = "Object"
            continue
        if expects_field and kind in ("name", "quoted") and following == ":":
            out.append(_field(text))
            expects_field = False
            before = text
            continue
        out.append(text)
        if text in _OPENING:
            braces.append(text == "{" and before == "Object")
        elif text in _CLOSING and braces:
            braces.pop()
        is_optional = text == "?" and before in ("{", ",")
        expects_field = bool(braces) and braces[-1] and (text in ("{", ",") or is_optional)
        before = text
    return "".join(out)


def _following(tokens: list[tuple[str, str]], i: int) -> str:
    return next((text for kind, text in tokens[i + 1 :] if kind not in ("space", "comment")), "")


def _joined(name: str) -> str:
    return "".join(name.split())


def _field(name: str) -> str:
    """Return a field's name as a string, without what CEL needs to escape keywords and signs."""
    name = name.strip("`")
    for escape, meant in _ESCAPES.items():
        name = name.replace(escape, meant)
    if name.startswith("__") and name.endswith("__") and len(name) > 4:
        name = name[2:-2]
    return '"' + name.replace('"', '\\"') + '"'
