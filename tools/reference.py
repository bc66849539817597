"""Writes docs/reference.md from the CRD: every field with its type, default and description. `--check` says whether it is up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
REFERENCE = ROOT / "docs/reference.md"
OPENING = """# Reference of VoiceAssist

<!-- Written by tools/reference.py from crds/voiceassists.voiceassist.dev.yaml; change that file and run the tool. -->

`voiceassist.dev/v1alpha1`, kind `VoiceAssist`, short `va`. The same text is in the cluster: `kubectl explain voiceassist.spec`.
What conditions mean: [conditions.md](conditions.md).
An object with every field: [voiceassist-full.yaml](../examples/voiceassist-full.yaml).
"""


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """All fields below a schema: path, schema, and whether it is required where its parent is given."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, child, name in schema.get("required", [])
        yield from fields(child, here)
        if child.get("type") == "array":
            yield from fields(child["items"], f"{here}[]")


def type_of(schema: dict[str, Any]) -> str:
    """A field's type with its bounds, in words."""
    kind = schema.get("type", "any")
    if kind == "array":
        kind = f"list of {type_of(schema['items'])}"
    elif "additionalProperties" in schema:
        kind = f"map of {type_of(schema['additionalProperties'])}"
    if "enum" in schema:
        return " \\| ".join(f"`{choice}`" for choice in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        kind += f", {'above ' if schema.get('exclusiveMinimum') else ''}{low} to {high}"
    if "maxLength" in schema and kind == "string":
        kind += f", at most {schema['maxLength']} characters"
    return kind


def default_of(schema: dict[str, Any], required: bool) -> str:
    """A field's default, or that it must be given."""
    if required:
        return "required"
    default = schema.get("default")
    if default is None or default == {}:
        return ""
    if isinstance(default, str):
        return f"`{default}`" if default else '`""`'
    return f"`{yaml.safe_dump(default, default_flow_style=True, width=10_000).removesuffix('...' + chr(10)).strip()}`"


def table(schema: dict[str, Any], path: str, with_default: bool) -> list[str]:
    """The fields below one field as a table."""
    head = "| field | type | default | what it is |" if with_default else "| field | type | what it is |"
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for name, field, required in fields(schema, path):
        rules = [rule["message"] for rule in field.get("x-kubernetes-validations", [])]
        text = " ".join([field.get("description", ""), *(f"*Refused otherwise:* {rule}." for rule in rules)]).strip().replace("|", "\\|")
        cells = [f"`{name.removeprefix('.')}`", type_of(field), *([default_of(field, required)] if with_default else []), text]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def reference() -> str:
    """The whole page."""
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    lines = [OPENING, "## spec", "", schema["spec"]["description"], ""]
    lines += [f"- {rule['message']}" for rule in schema["spec"].get("x-kubernetes-validations", [])]
    lines += ["", *table(schema["spec"], "spec", True), "", "## status", "", schema["status"]["description"], ""]
    lines += [*table(schema["status"], "status", False), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        REFERENCE.write_text(reference())
    elif not REFERENCE.exists() or REFERENCE.read_text() != reference():
        sys.exit("docs/reference.md is not what the CRD says; run tools/reference.py")
