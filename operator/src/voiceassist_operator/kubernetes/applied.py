"""Whether an object is still as an operator before us applied it, told by its metadata alone. Pure.

An annotation says what was applied: a digest. Whoever changes a field's value afterwards takes the field over, and whoever removes one ends
our ownership of it, in `metadata.managedFields`: what was applied stands as long as all its fields are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from voiceassist_crds import names

from .kinds import MANAGER, Manifest

APPLIED_ANNOTATION = f"{names.GROUP}/applied"
_GIVEN = frozenset({"name", "namespace", "uid"})
"""Of the metadata, what no manager owns."""


def digest(manifest: Manifest) -> str:
    """Returns a digest of a manifest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:32]


def marked(manifest: Manifest) -> Manifest:
    """Returns a manifest with the annotation that says what it is."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_ANNOTATION: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def fields_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the fields that our applying made ours, in the API server's form (`fieldsV1`); empty where there are none."""
    for entry in metadata.get("managedFields") or []:
        if (entry.get("manager"), entry.get("operation"), entry.get("subresource") or "") == (MANAGER, "Apply", ""):
            return entry.get("fieldsV1") or {}
    return {}


def all_ours(fields: Mapping[str, Any], manifest: Manifest) -> bool:
    """Returns whether every field of a manifest is ours; False also where that cannot be told."""
    if not fields:
        return False
    body = {key: value for key, value in manifest.items() if key not in {"apiVersion", "kind", "metadata"}}
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _GIVEN}
    return _held(fields, {**body, "metadata": metadata})


def _held(fields: Mapping[str, Any], value: Any) -> bool:
    if not fields:  # owned as a whole
        return True
    if isinstance(value, Mapping):
        return all(f"f:{key}" in fields and _held(fields[f"f:{key}"], one) for key, one in value.items() if one is not None)
    if isinstance(value, list | tuple):
        return all(_element_held(fields, one) for one in value)
    return True


def _element_held(fields: Mapping[str, Any], element: Any) -> bool:
    for name, below in fields.items():
        sign, _, text = name.partition(":")
        if sign == "v" and json.loads(text) == element:
            return True
        if sign == "k" and isinstance(element, Mapping):
            key: Mapping[str, Any] = json.loads(text)
            if any(part in element for part in key) and all(element.get(part, wanted) == wanted for part, wanted in key.items()):
                return _held(below, element)
    return False
