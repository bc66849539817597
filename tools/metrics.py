#!/usr/bin/env python3
"""Writes docs/metrics.md from the metrics in the code.

tools/metrics.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/metrics.md"

HEAD = """# Metrics

Written by `tools/metrics.py` from the code; do not edit. Units are base units (seconds, bytes); label values come from closed lists, and a
call SID is never one. The relay's are in `metrics/labels.py`: their series are there as 0 from the start, so that a rate sees the first
event; what is in no list is counted as `other`. `revision` and `model` have at most four values at a time besides `other`; the series of
one that is no longer used go.
Counters end in `_total`; a histogram `x` has the series `x_bucket`, `x_sum` and `x_count`.
"""


def metrics(registry: Any) -> list[tuple[str, str, str, str]]:
    """Name, type, labels and help of each metric of ours; what the Python client adds about the process is left out."""
    rows = []
    for collector in registry._collector_to_names:
        if not hasattr(collector, "_labelnames"):
            continue
        kind = collector._type
        name = collector._name + ("_total" if kind == "counter" else "")
        rows.append((name, kind, ", ".join(f"`{label}`" for label in collector._labelnames), collector._documentation))
    return sorted(rows)


def text() -> str:
    """The whole document."""
    out = [HEAD]
    for title, registry in (("The relay (port 9090)", RelayMetrics().registry), ("The operator (port 8081)", OperatorMetrics().registry)):
        out += [f"## {title}", "", "| Metric | Type | Labels | |", "|---|---|---|---|"]
        out += [f"| `{name}` | {kind} | {labels} | {words} |" for name, kind, labels, words in metrics(registry)]
        out.append("")
    return "\n".join(out)


def main() -> int:
    """Writes, or with --check says whether the document is up to date."""
    if sys.argv[1:] == ["--check"]:
        same = DOCUMENT.exists() and DOCUMENT.read_text() == text()
        if not same:
            sys.stderr.write("docs/metrics.md is out of date; run tools/metrics.py\n")
        return int(not same)
    DOCUMENT.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
