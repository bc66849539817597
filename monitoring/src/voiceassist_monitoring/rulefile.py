"""Rule groups as files: a plain one for `rule_files`, and a PrometheusRule's spec for the Prometheus operator. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from .rules import Group

HEAD = "# Written by `make generate` from docs/slo.md and monitoring/; do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def plain(groups: Sequence[Group]) -> str:
    """The file for Prometheus's `rule_files`."""
    return HEAD + _dump({"groups": list(groups)})


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=200, allow_unicode=True)
