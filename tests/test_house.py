"""The house rules that a machine can check: layers, doors between roles, sizes, names, banned calls."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {"bus": {"bus"}, "runtime": {"bus", "runtime"}, "actors": {"bus", "runtime", "actors", "configs"}}
SHARED_ROOMS = {"api"}  # of actors/: what every role may import
COMPOSER = "cluster"  # knows every role, so that no role has to
FILE_LINES, FUNCTION_LINES = 600, 70
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill"}  # nothing that a peer sends is ever unpickled
BANNED_CALLS = {"eval"}


def sources() -> list[Path]:
    found = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
    return [path for path in found if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path.relative_to(ROOT): ast.parse(path.read_text()) for path in sources()}


def test_imports_follow_the_layers(trees):
    broken = [
        f"{path}:{line} imports {module}"
        for path, tree in trees.items()
        for line, module in imports(tree)
        if module.split(".")[0] in {*LAYERS, "tests", "configs"} - LAYERS[path.parts[0]]
    ]
    assert broken == []


def test_a_role_reaches_into_another_only_through_its_messages(trees):
    broken = []
    for path, tree in trees.items():
        if path.parts[0] != "actors" or len(path.parts) < 3 or path.parts[1] == COMPOSER:
            continue
        for line, module in imports(tree):
            parts = module.split(".")
            foreign = parts[0] == "actors" and len(parts) > 1 and parts[1] not in {path.parts[1], *SHARED_ROOMS}
            if foreign and parts[2:3] != ["messages"]:
                broken.append(f"{path}:{line} imports {module}")
    assert broken == []


def test_no_file_and_no_function_is_too_long(trees):
    long = []
    for path, tree in trees.items():
        lines = len((ROOT / path).read_text().splitlines())
        if lines > FILE_LINES:
            long.append(f"{path} has {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    long.append(f"{path}:{node.lineno} {node.name} has {length} lines")
    assert long == []


def test_names_say_something(trees):
    assert [str(path) for path in trees if path.stem in VAGUE_NAMES] == []


def test_every_module_says_why_it_exists(trees):
    silent = [str(path) for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_nothing_banned_is_used(trees):
    broken = []
    for path, tree in trees.items():
        broken += [f"{path}:{n} imports {name}" for n, name in imports(tree) if name.split(".")[0] in BANNED_MODULES]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
                broken.append(f"{path}:{node.lineno} calls {node.func.id}")
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                broken.append(f"{path}:{node.lineno} has a bare except")
    assert broken == []


def test_what_the_docs_name_is_there():
    docs = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = [(doc.name, path) for doc in docs for path in re.findall(r"`((?:[a-z_]+/)+[\w.-]*)`", doc.read_text())]
    inside = [
        (doc, path)
        for doc, path in named
        if path.partition("/")[0] in {*LAYERS, "configs", "docs", "examples", "tests"}
    ]
    assert inside != []
    assert [f"{doc}: {path}" for doc, path in inside if not (ROOT / path).exists()] == []
