"""The CRD as this version has it, for those who ask no API server."""

from __future__ import annotations

from importlib import resources

from . import names


def custom_resource_definition() -> str:
    """Returns the CRD's text (YAML); it is a copy of the one in crds/."""
    return (resources.files(__package__) / f"{names.PLURAL}.{names.GROUP}.yaml").read_text()
