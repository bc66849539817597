"""Writes and checks the contract's JSON Schemas: `python -m voiceassist_crds.schema [--check]`.

The one module of this distribution that touches files; nothing imports it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from .config import RelayConfig
from .messages import CallDocument, StreamMessage
from .status import RelayStatus

FOLDER = Path(__file__).resolve().parent.parent.parent / "schemas"

SCHEMAS: dict[str, Any] = {
    "relay-config": RelayConfig,
    "relay-status": RelayStatus,
    "sync-message": StreamMessage,
    "call-document": CallDocument,
}


def schema_text(name: str) -> str:
    """The JSON Schema (2020-12) of one part of the contract."""
    schema = TypeAdapter(SCHEMAS[name]).json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Writes the files, or with --check says which are not up to date (exit 1)."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for name in SCHEMAS:
        path = FOLDER / f"{name}.schema.json"
        text = schema_text(name)
        if check:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
    if stale:
        sys.stderr.write(f"schemas out of date: {', '.join(stale)}; run `make generate`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
