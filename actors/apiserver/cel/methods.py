"""Methods whose names the language's own extensions have taken, or whose results Python cannot make, written as calls.

`[1, 2].indexOf(2)` is `kubernetes.indexIn([[1, 2], 2])` before it is compiled, for the extension of strings lets nobody
else declare an `indexOf`. `format.dns1123Label().validate(x)` is `optional.ofNonZeroValue(kubernetes.validated(...))`,
for a function written in Python cannot return an optional: what is wrong as a list, or nothing as an empty one. And
`m.transformMap(k, v, e)` is `kubernetes.mapOf(m.transformList(k, v, [k, e]))`: the evaluator can put nothing in a map.

Only texts that have such a method are looked at. Neighbours: `environment` compiles what comes out; `library.lists`
and `library.formats` have the functions.
"""

import re

_TOKEN = re.compile(
    r"""
    (?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<blank>\s+|//[^\n]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`\n]*`)
    |(?P<number>\d[\dA-Za-z.]*)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_METHODS = {  # what comes before the receiver and the arguments, and after them
    "indexOf": ("kubernetes.indexIn([", "])"),
    "lastIndexOf": ("kubernetes.lastIndexIn([", "])"),
    "named": ("optional.ofNonZeroValue(kubernetes.namedFormat(", "))"),
    "validate": ("optional.ofNonZeroValue(kubernetes.validated(", "))"),
    "transformMap": ("kubernetes.mapOf(", ")"),
    "transformMapEntry": ("kubernetes.mapOfEntries(", ")"),
}
_TO_MAPS = frozenset({"transformMap", "transformMapEntry"})  # lists of pairs, or of maps, and a map of those
_PAIR = ("[dyn(", "), dyn(", ")]")
_OF_FORMAT = "named"  # is a method of `format`, which is no value
_SUSPECT = re.compile(r"\.\s*(?:indexOf|lastIndexOf|named|validate|transformMap|transformMapEntry)\s*\(").search
_OPENING = {")": "(", "]": "[", "}": "{"}
_OPERATORS = frozenset({"in"})  # words that end no operand
MAX_REWRITTEN = 64  # methods in one expression; more are left to the compiler, which knows none of them

Token = tuple[str, str]  # (kind, text)


def rewritten(expression: str) -> str:
    """Return the expression with these methods as calls; others come back as they are."""
    if _SUSPECT(expression) is None:
        return expression
    tokens = _tokens(expression)
    for _ in range(MAX_REWRITTEN):
        at = _find(tokens)
        if at is None:
            break
        tokens = _replaced(tokens, *at)
    return "".join(text for _, text in tokens)


def _tokens(text: str) -> list[Token]:
    return [(found.lastgroup or "", found.group()) for found in _TOKEN.finditer(text)]


def _find(tokens: list[Token]) -> tuple[int, int, int, int] | None:
    """Return where the first such method's receiver begins, and where its dot, name and opening parenthesis are."""
    for dot, (kind, text) in enumerate(tokens):
        if (kind, text) != ("other", "."):
            continue
        name = _after(tokens, dot)
        opening = _after(tokens, name)
        if opening >= len(tokens) or tokens[name][1] not in _METHODS or tokens[opening][1] != "(":
            continue
        begin = _begin(tokens, dot)
        if begin is None or (tokens[name][1] == _OF_FORMAT and tokens[begin][1] != "format"):
            continue
        return begin, dot, name, opening
    return None


def _replaced(tokens: list[Token], begin: int, dot: int, name: int, opening: int) -> list[Token]:
    end = _end(tokens, opening)
    before, after = map(_tokens, _METHODS[tokens[name][1]])
    arguments = tokens[opening + 1 : end]
    if tokens[name][1] in _TO_MAPS:
        listed = _transformed_to_list(tokens[name][1], arguments)
        arguments = [*tokens[begin:dot], ("other", "."), ("name", "transformList"), ("other", "("), *listed]
        after = [("other", ")"), *after]
    elif tokens[name][1] != _OF_FORMAT:
        arguments = [*tokens[begin:dot], ("other", ","), *arguments]
    return [*tokens[:begin], *before, *arguments, *after, *tokens[end + 1 :]]


def _transformed_to_list(name: str, arguments: list[Token]) -> list[Token]:
    """The arguments of transformList that make what a map is made of: those given, or pairs of the key and the last."""
    if name != "transformMap":
        return arguments
    parts, depth = [0], 0
    for at, token in enumerate(arguments):
        depth += _step(token)
        if depth == 0 and token[1] == ",":
            parts.append(at + 1)
    if len(parts) < 3:  # it is not what it seems; the compiler says so
        return arguments
    key = arguments[: parts[1] - 1]
    start, middle, end = map(_tokens, _PAIR)
    return [*arguments[: parts[-1]], *start, *key, *middle, *arguments[parts[-1] :], *end]


def _after(tokens: list[Token], at: int) -> int:
    at += 1
    while at < len(tokens) and tokens[at][0] == "blank":
        at += 1
    return at


def _before(tokens: list[Token], at: int) -> int:
    at -= 1
    while at >= 0 and tokens[at][0] == "blank":
        at -= 1
    return at


def _end(tokens: list[Token], opening: int) -> int:
    """Return where the bracket that opens is closed; the end, where it never is."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += _step(tokens[at])
        if depth == 0:
            return at
    return len(tokens)


def _opened(tokens: list[Token], closing: int) -> int:
    """Return where the bracket that closes was opened; -1 when it was not."""
    depth = 0
    for at in range(closing, -1, -1):
        depth += _step(tokens[at])
        if depth == 0:
            return at
    return -1


def _step(token: Token) -> int:
    """How much deeper it is after a token."""
    return {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token[1], 0)


def _begin(tokens: list[Token], dot: int) -> int | None:
    """Return where the operand that a dot follows begins; None when there is none."""
    at = _before(tokens, dot)
    while at >= 0:
        at = _primary(tokens, at)
        if at < 0:
            return None
        before = _before(tokens, at)
        if before < 0 or tokens[before][1] not in (".", "?"):
            return at
        if tokens[before][1] == "?" and (_before(tokens, before) < 0 or tokens[_before(tokens, before)][1] != "."):
            return at
        at = _before(tokens, before if tokens[before][1] == "." else _before(tokens, before))
    return None


def _primary(tokens: list[Token], at: int) -> int:
    """Return where the part of an operand that ends here begins: a name, a literal, a call; -1 when none does."""
    while True:
        kind, text = tokens[at]
        if kind in ("string", "number") or _is_name(tokens[at]):
            return at
        if text not in _OPENING:
            return -1
        start = _opened(tokens, at)
        before = _before(tokens, start)
        if start < 0 or before < 0 or not _takes(tokens[before], _OPENING[text]):
            return start
        at = before


def _takes(operand: Token, bracket: str) -> bool:
    """May an operand end so that the bracket behind it is its call or its index, and no operand of its own?"""
    if bracket == "(" or bracket == "{":
        return _is_name(operand)
    return _is_name(operand) or operand[0] == "string" or operand[1] in (")", "]", "}")


def _is_name(token: Token) -> bool:
    return token[0] == "name" and token[1] not in _OPERATORS
