#!/usr/bin/env python3
"""Writes docs/modules.md from the tree on disk: each module with the first sentence of its docstring.

tools/architecture.py [--check]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/modules.md"
HEAD = """# Modules

<!-- Written by tools/architecture.py; change a module's docstring and run `make generate`. -->

Each module with its own first sentence. What the folders are for, and the path of a call: [architecture.md](architecture.md).
"""
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
        if path.is_dir() and not any(path.rglob("*.py")):
            continue  # left behind by a module that moved
        if path.is_dir():
            about = sentence(path / "__init__.py") if (path / "__init__.py").exists() else ""
            out.append(f"{indent}{path.name + '/':{WIDTH - 2 * depth}} {about}".rstrip())
            if (path / "__init__.py").exists():
                out += lines(path, depth + 1)
        elif path.suffix == ".py":
            out.append(f"{indent}{path.name:{WIDTH - 2 * depth}} {sentence(path)}".rstrip())
    return out


def tree() -> str:
    """The whole page."""
    out = [HEAD]
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
    return "\n".join(out)


def main() -> int:
    """Writes the page, or with --check says whether it is up to date."""
    if sys.argv[1:] != ["--check"]:
        DOCUMENT.write_text(tree())
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != tree():
        sys.stderr.write("docs/modules.md is not the tree on disk; run tools/architecture.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
