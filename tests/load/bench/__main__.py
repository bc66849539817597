"""`make bench`: the whole benchmark. Exit 1 if audio was wrong, or if every sample of a row of ours or of the limit was void."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

from .extras import measure_extras
from .measuring import FULL_RUN, QUICK, Scope, measure, say
from .processes import Cores
from .report import BUSY, machine, text, write
from .rows import LIMIT, OURS, Sample, beside, rows

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/performance.md"


def result_of(samples: list[Sample], scope: Scope, extras: dict[str, Any] | None, command: str) -> dict[str, Any]:
    """Everything that is known, as JSON holds it."""
    others = max((sample.others for sample in samples), default=0.0)
    told = [f"{s.cell.relay}, {s.calls} calls, {s.cell.tracks} track(s): {s.void}" for s in samples if s.void]
    return {
        "rows": rows(samples),
        "beside": beside(samples),
        "middle": scope.middle,
        "rounds": scope.rounds,
        "void": told,
        "faults": [f"{s.cell.relay}, {s.calls} calls, {s.cell.tracks} track(s): {s.fault}" for s in samples if s.fault],
        "busy": others > BUSY,
        "othersShare": round(others, 3),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command,
        "extras": extras,
    }


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="one round of short samples: under 2 minutes, and no more than a hint")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    cores = Cores.found()
    if cores.relay is None:
        say("bench: this machine has one core, or no `taskset`: relay and generator disturb each other, and the figures say little")
    scope = QUICK if options.quick else FULL_RUN
    samples = measure(scope, cores)
    extras = measure_extras(cores, quick=options.quick)
    flags = "".join(f" {name}=1" for name in ("json", "quick") if getattr(options, name))
    result = result_of(samples, scope, extras, f"make bench{flags.upper()}")
    print(json.dumps(result, indent=1) if options.json else text(result))
    if options.write:
        write(DOCUMENT, result)
    lost = {sample.cell for sample in samples} - {sample.cell for sample in samples if not sample.void}
    return 1 if result["faults"] or any(cell.relay in (LIMIT, OURS) for cell in lost) else 0


if __name__ == "__main__":
    sys.exit(main())
