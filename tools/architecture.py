#!/usr/bin/env python3
"""Writes the tree in docs/architecture.md from the tree on disk: each module with the first sentence of its docstring.

tools/architecture.py [--check]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- tree: written by tools/architecture.py -->", "<!-- end of tree -->"
PACKAGES = ("crds", "relay", "operator", "sim", "demo", "monitoring")
WIDTH = 34


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    first = " ".join(text.split("\n\n")[0].split())
    for stop in (". ", "; "):
        first = first.split(stop)[0]
    return first.rstrip(".")


def lines(folder: Path, depth: int) -> list[str]:
    """The modules below a package, folders after files."""
    out = []
    entries = sorted(folder.iterdir(), key=lambda p: (p.is_dir(), p.name))
    for path in entries:
        if path.name in {"__pycache__", "py.typed", "__init__.py"}:
            continue
        indent = "  " * depth
        if path.is_dir():
            about = sentence(path / "__init__.py") if (path / "__init__.py").exists() else ""
            out.append(f"{indent}{path.name + '/':{WIDTH - 2 * depth}} {about}".rstrip())
            if (path / "__init__.py").exists():
                out += lines(path, depth + 1)
        elif path.suffix == ".py":
            out.append(f"{indent}{path.name:{WIDTH - 2 * depth}} {sentence(path)}".rstrip())
    return out


def tree() -> str:
    """The whole block."""
    out = [BEGIN, ""]
    for name in PACKAGES:
        package = next((ROOT / name / "src").iterdir())
        out += [
            f"### `{name}/`: {sentence(package / '__init__.py')}",
            "",
            "```text",
            f"{name}/src/{package.name}/",
            *lines(package, 1),
            "```",
            "",
        ]
    return "\n".join([*out, END])


def main() -> int:
    """Writes the block, or with --check says whether it is up to date."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    new = before + tree() + after
    if sys.argv[1:] == ["--check"]:
        if new != text:
            sys.stderr.write("docs/architecture.md: the tree is not the tree on disk; run tools/architecture.py\n")
        return int(new != text)
    DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
