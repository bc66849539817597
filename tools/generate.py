#!/usr/bin/env python3
"""Writes everything in the tree that is made from something else; with --check names what is stale and changes nothing.

tools/generate.py [--check] [WHAT ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
CRD_COPIES = (ROOT / "charts/voiceassist/files" / CRD.name, ROOT / "crds/src/voiceassist_crds" / CRD.name)


@dataclass(frozen=True)
class Generated:
    """Something that is made: by which name, where, from what, and by whom (told whether to check only; True if all is well)."""

    name: str
    where: str
    source: str
    run: Callable[[bool], bool]


def _command(*words: str | Path, write: tuple[str, ...] = (), check: tuple[str, ...] = ("--check",)) -> Callable[[bool], bool]:
    def run(only_check: bool) -> bool:
        return subprocess.run([*words, *(check if only_check else write)], cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode == 0

    return run


def _copy(only_check: bool) -> bool:
    stale = [copy for copy in CRD_COPIES if not copy.exists() or copy.read_bytes() != CRD.read_bytes()]
    if not only_check:
        for copy in stale:
            copy.write_bytes(CRD.read_bytes())
    return not stale or not only_check


def _tool(name: str) -> Callable[[bool], bool]:
    return _command(sys.executable, ROOT / "tools" / name)


ALL = (
    Generated("schemas", "crds/schemas", "the models in crds/src", _command(sys.executable, "-m", "voiceassist_crds.schema")),
    Generated("crd", " and ".join(str(copy.relative_to(ROOT)) for copy in CRD_COPIES), str(CRD.relative_to(ROOT)), _copy),
    Generated("reference", "docs/reference.md", str(CRD.relative_to(ROOT)), _tool("reference.py")),
    Generated("values", "docs/values.md", "the chart's values.yaml and values.schema.json", _tool("values.py")),
    Generated("metrics", "docs/metrics.md", "the metrics in relay/ and operator/", _tool("metrics.py")),
    Generated("openapi", "docs/openapi.json", "what reads requests in relay/src/voiceassist_relay/functions", _tool("openapi.py")),
    Generated("modules", "docs/modules.md", "the modules' own first sentences", _tool("architecture.py")),
    Generated(
        "monitoring",
        "charts/voiceassist/files/monitoring",
        "docs/slo.md and monitoring/src",
        _command(BIN / "voiceassist-monitoring", write=("write",), check=("check",)),
    ),
)


def main() -> int:
    """Everything, or what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    parser.add_argument("what", nargs="*", metavar="WHAT", help=", ".join(one.name for one in ALL))
    options = parser.parse_args()
    if unknown := set(options.what) - {one.name for one in ALL}:
        parser.error(f"nothing of that name is made: {', '.join(sorted(unknown))}")
    stale = []
    for one in ALL:
        if (not options.what or one.name in options.what) and not one.run(options.check):
            stale.append(one)
    for one in stale:
        said = "is stale" if options.check else "could not be made"
        print(f"generate: {one.where} {said}; it is made from {one.source} (make generate)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
