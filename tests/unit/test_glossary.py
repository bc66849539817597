"""docs/glossary.md: what it names is there, and the words that it has replaced are gone from the product's names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
SOURCES = [path for part in ("crds", "relay", "operator", "demo") for path in sorted((ROOT / part / "src").rglob("*.py"))]
WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


def _rows(heading: str) -> Iterator[tuple[str, str]]:
    """The rows of the table under a heading, without its head."""
    section = GLOSSARY.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    yield from re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)[1:]


def _names(path: Path, text: str) -> Iterator[tuple[str, int]]:
    """All that a module names itself, and the line: the module, its classes, functions, arguments, variables and attributes."""
    yield path.stem, 1
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def _replaced(path: Path, text: str) -> list[str]:
    """The names in a module that have a word which is not used, and what to say instead."""
    instead = {word: row[1] for row in _rows("Words that are not used") for word in row[0].split(", ")}
    return [
        f"{path}:{line}: {name}: {instead[word]}"
        for name, line in _names(path, text)
        for word in (part.lower().removesuffix("s") for part in WORD.findall(name))
        if word in instead
    ]


def test_glossary_words_that_are_not_used_are_in_no_name() -> None:
    found = [hit for path in SOURCES for hit in _replaced(path.relative_to(ROOT), path.read_text())]
    assert not found, found


@pytest.mark.parametrize(
    "text",
    ["class SessionLink: ...", "def nudge(): ...", "async def run(*, rivals): ...", "self._gate = 1", "for side in (): ...", "OWED = 1"],
)
def test_glossary_words_are_found_wherever_a_name_is_made(text: str) -> None:
    assert len(_replaced(Path("module.py"), text)) == 1


def test_glossary_words_are_found_in_the_name_of_a_module() -> None:
    assert _replaced(Path("session_memory.py"), "") == ["session_memory.py:1: session_memory: history"]


def test_glossary_names_modules_and_classes_that_are_there() -> None:
    named = {name for heading in ("Relay", "Operator") for _, means in _rows(heading) for name in re.findall(r"`([\w/]+(?:\.py)?)`", means)}
    modules = {name for name in named if name.endswith(".py")}
    classes = {name for name in named if re.fullmatch(r"([A-Z][a-z]+){2,}", name)}
    assert len(modules) > 5 and len(classes) > 3
    assert not [name for name in modules if not any(str(path).endswith(f"/{name}") for path in SOURCES)]
    text = "\n".join(path.read_text() for path in SOURCES)
    assert not [name for name in classes if f"class {name}" not in text]
