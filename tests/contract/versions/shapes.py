"""The shapes that were recorded for earlier versions, and the earlier readers: strict, as their schemas say.

A schema of a version before stands for that version's reader: it refused every field that it did not know. Files here are written
by `tools/wire_shapes.py` at a release and by nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

FOLDER = Path(__file__).parent
VERSIONS = sorted(
    (path.name for path in FOLDER.iterdir() if (path / "crd.yaml").exists()), key=lambda name: [int(part) for part in name.split(".")]
)
BEFORE = VERSIONS[-1]
"""The version before this tree."""


def recorded(name: str, version: str = BEFORE) -> Any:
    return json.loads((FOLDER / version / f"{name}.json").read_text())


def crd(path: Path) -> dict[str, Any]:
    versions = yaml.safe_load(path.read_text())["spec"]["versions"]
    return dict(versions[0]["schema"]["openAPIV3Schema"])


def crd_before(version: str = BEFORE) -> dict[str, Any]:
    return crd(FOLDER / version / "crd.yaml")


def means_the_same(before: Any, now: Any) -> bool:
    """Whether everything that was written before is read now with the value that it had; what is new may stand beside it."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(name in now and means_the_same(value, now[name]) for name, value in before.items())
    if isinstance(before, list):
        return isinstance(now, list) and len(before) == len(now) and all(map(means_the_same, before, now))
    return bool(before == now)


class EarlierReader:
    """What an earlier version makes of a JSON value: it refuses what it does not know, and fills in its own defaults."""

    def __init__(self, name: str, version: str = BEFORE) -> None:
        self._schema = recorded(f"{name}.schema", version)

    def read(self, value: Any) -> Any:
        """The value with that version's defaults. Raises jsonschema.ValidationError."""
        jsonschema.validate(value, self._schema)
        return self._filled(self._schema, value)

    def _filled(self, schema: Mapping[str, Any], value: Any) -> Any:
        schema = self._resolved(schema, value)
        if isinstance(value, list):
            return [self._filled(schema.get("items", {}), one) for one in value]
        if not isinstance(value, dict):
            return value
        properties: dict[str, Any] = schema.get("properties", {})
        whole = {**{name: one["default"] for name, one in properties.items() if "default" in one}, **value}
        return {name: self._filled(properties.get(name, {}), one) for name, one in whole.items()}

    def _resolved(self, schema: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
        if "$ref" in schema:
            return self._resolved(self._schema["$defs"][schema["$ref"].rpartition("/")[2]], value)
        for one in schema.get("anyOf", ()):
            found = self._resolved(one, value)
            if (found.get("type") == "object") == isinstance(value, dict):
                return found
        return schema
