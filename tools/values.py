#!/usr/bin/env python3
"""Writes docs/values.md from the chart's values.yaml and values.schema.json: every value with its type, default and description.

tools/values.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/voiceassist"
DOCUMENT = ROOT / "docs/values.md"
HEAD = """# Values of the chart

<!-- Written by tools/values.py from the chart's values.yaml and values.schema.json; change those and run `make generate`. -->

What `helm install` takes with `--set` and `--values`; anything else is refused. How to install: [install.md](install.md).

| value | type | default | what it is |
|---|---|---|---|"""


def rows(schema: dict[str, Any], defaults: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every value that has no values below it that the schema names: path, schema, default."""
    for name, child in schema.get("properties", {}).items():
        default = defaults.get(name) if isinstance(defaults, dict) else None
        here = f"{path}.{name}".removeprefix(".")
        if child.get("properties"):
            yield from rows({**child, "properties": _told(child)}, default, here)
        else:
            yield here, child, default


def _told(schema: dict[str, Any]) -> dict[str, Any]:
    """The properties, each with the words of what it is part of where it has none of its own."""
    return {name: {"description": schema.get("description", ""), **child} for name, child in schema["properties"].items()}


def type_of(schema: dict[str, Any]) -> str:
    """A value's type with its bounds."""
    if "enum" in schema:
        return " \\| ".join(f"`{json.dumps(choice)}`" for choice in schema["enum"])
    kind = schema.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None or high is not None:
        kind += f", {low} to {high}" if None not in (low, high) else f", at least {low}" if high is None else f", at most {high}"
    return kind


def text() -> str:
    """The whole page."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    out = [HEAD]
    for path, one, default in rows(schema, defaults):
        what = one.get("description", "").replace("|", "\\|")
        out.append(f"| `{path}` | {type_of(one)} | {'' if default is None else f'`{json.dumps(default)}`'} | {what} |")
    return "\n".join([*out, ""])


def main() -> int:
    """Writes, or with --check says whether the page is up to date."""
    if sys.argv[1:] != ["--check"]:
        DOCUMENT.write_text(text())
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != text():
        sys.stderr.write("docs/values.md is not what the chart's values are; run tools/values.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
