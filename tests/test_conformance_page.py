"""docs/conformance.md says what tests show: each of them is there and names the behaviour, and the counts add up."""

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "conformance.md"
ROW = re.compile(r"\| (?P<name>.+?) \| (?P<state>held|not yet) \| (?P<shown>.+) \|")
COUNTS = re.compile(r"held (\d+), not yet (\d+), total (\d+)")
SUMMARY = re.compile(r"\| (?:\[(?P<area>[a-z-]+)\]\(#[a-z-]+\)|all) \| (\d+) \| (\d+) \| (\d+) \|")


class Row(NamedTuple):
    area: str
    name: str
    is_held: bool
    shown: str

    @property
    def tests(self) -> list[tuple[str, str]]:
        """Return the (file, function) of each test that is said to show it."""
        return re.findall(r"`([\w/]+\.py)::(\w+)`", self.shown)


def sections() -> dict[str, list[str]]:
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.M)
    return dict(zip(parts[1::2], (text.strip().splitlines() for text in parts[2::2]), strict=True))


ROWS = [
    Row(area, found["name"], found["state"] == "held", found["shown"])
    for area, lines in sections().items()
    for found in map(ROW.fullmatch, lines)
    if found
]


@functools.cache
def functions(path: str) -> dict[str, set[str]]:
    """Return what each test of a file names: the lines of its docstring, and the strings of its parameters."""
    tree = ast.parse((TESTS / path).read_text())
    constants: dict[str, set[str]] = {}
    for node in tree.body:
        for name in assigned(node):
            constants.setdefault(name, set()).update(strings(node))
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            words = {line.strip() for line in (ast.get_docstring(node) or "").splitlines()}
            for decorator in node.decorator_list:
                words |= strings(decorator)
                names = {one.id for one in ast.walk(decorator) if isinstance(one, ast.Name)}
                words |= set().union(*(constants.get(name, set()) for name in names))
            found[node.name] = {" ".join(line.split()) for line in words}
    return found


def assigned(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def strings(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def names_it(words: set[str], name: str) -> bool:
    """A line may go on, after a colon, with what of a behaviour a test is about."""
    return any(line in (name, f"{name}.") or line.startswith(f"{name}:") for line in words)


def wrong_with(row: Row) -> Iterator[str]:
    if not row.tests:
        yield f"{row.name}: no test is named"
    for path, function in row.tests:
        if not (TESTS / path).is_file() or function not in functions(path):
            yield f"{row.name}: there is no {path}::{function}"
        elif not names_it(functions(path)[function], row.name):
            yield f"{row.name}: {path}::{function} does not name it"


def test_what_is_held_is_shown():
    assert ROWS
    assert [wrong for row in ROWS if row.is_held for wrong in wrong_with(row)] == []


def test_what_is_not_held_has_a_reason_and_no_test():
    not_held = [row for row in ROWS if not row.is_held]
    assert [row.name for row in not_held if row.tests or not row.shown.endswith(".")] == []
    files = [path.relative_to(TESTS).as_posix() for path in sorted((TESTS / "conformance").rglob("test_*.py"))]
    named = set().union(*(words for path in files for words in functions(path).values()))
    assert [row.name for row in not_held if names_it(named, row.name)] == [], "shown, and not said to be held"


def test_every_line_of_a_table_is_understood():
    lines = [line for text in sections().values() for line in text if line.startswith("|")]
    heads = 2 * len(sections())
    assert len(lines) - heads == len(ROWS)


def test_the_counts_add_up():
    held = Counter(row.area for row in ROWS if row.is_held)
    total = Counter(row.area for row in ROWS)
    counted = {area: (held[area], total[area] - held[area], total[area]) for area in sections()}
    for area, lines in sections().items():
        (said,) = (found.groups() for found in map(COUNTS.fullmatch, lines) if found)
        assert tuple(map(int, said)) == counted[area], area
    counted[""] = (held.total(), total.total() - held.total(), total.total())
    summary = [found for found in map(SUMMARY.fullmatch, PAGE.read_text().splitlines()) if found]
    assert {found["area"] or "": tuple(map(int, found.groups()[1:])) for found in summary} == counted
