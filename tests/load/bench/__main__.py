"""`make bench`: the whole benchmark. Exit 1 if audio was wrong, or if every sample of a row of ours or of the limit was void."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .extras import formats, measure_base, measure_extras, memory
from .measuring import FULL_RUN, QUICK, Scope, measure, say, scratch
from .processes import Cores, rig
from .report import BUSY, by_format, flat, machine, text, versus, write
from .rows import BASE, LIMIT, OURS, Sample, beside, rows, versus_base

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


def long_calls(cores: Cores, minutes: float, calls: int, session_seconds: int) -> dict[str, Any]:
    """Memory of calls that last so long, both tracks, plain sockets: every 30 s up to 5 minutes, then every 5 minutes.

    Their sessions are replaced after 50/60 to 55/60 of the life that the model tells.
    """
    moments = [float(moment) for moment in (*range(30, 300, 30), *range(300, int(minutes * 60) + 1, 300)) if moment < minutes * 60]
    with scratch() as folder, rig(folder, OURS, 2, cores, tls=False) as there:
        there.ask(f"life {session_seconds}")
        return memory(there, calls, (*moments, minutes * 60))


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="one round of short samples: under 2 minutes, and no more than a hint")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--memory", type=float, default=0, metavar="MINUTES", help="nothing but the memory of calls that last so long")
    parser.add_argument("--calls", type=int, default=100, help="calls for --memory and --formats (default: %(default)s)")
    parser.add_argument("--session-seconds", type=int, default=3600, help="a session's life, for --memory (default: %(default)s)")
    parser.add_argument(
        "--base", type=Path, metavar="CHECKOUT", help="the checkout of another commit, with its .venv: compare with its relay"
    )
    parser.add_argument("--formats", action="store_true", help="nothing but what the formats of audio cost")
    options = parser.parse_args()
    cores = Cores.found()
    if cores.relay is None:
        say("bench: this machine has one core, or no `taskset`: relay and generator disturb each other, and the figures say little")
    if options.memory:
        found = long_calls(cores, options.memory, options.calls, options.session_seconds)
        print(json.dumps(found, indent=1) if options.json else flat(found))
        return 1 if found["wrong"] else 0
    if options.formats:
        with scratch() as folder:
            costs = formats(folder, cores, options.calls, 1.0 if options.quick else 2.5, 1 if options.quick else 5)
        print(json.dumps(costs, indent=1) if options.json else "\n".join(by_format(costs)))
        return 1 if any(one["wrong"] for one in costs) else 0
    scope = QUICK if options.quick else FULL_RUN
    flags = "".join(f" {name}=1" for name in ("json", "quick") if getattr(options, name))
    if options.base is not None:
        rounds = scope.rounds if options.quick else 5
        scope = replace(scope, rounds=rounds, relays=(LIMIT, BASE, OURS), base=options.base)
        samples = measure(scope, cores)
        ours, base = measure_base(cores, options.base, quick=options.quick)
        result = result_of(samples, scope, None, f"make bench BASE={options.base.name}{flags.upper()}")
        result |= {"begun": {OURS: ours, BASE: base}, "versusBase": versus_base(samples, ours, base)}
        print(json.dumps(result, indent=1) if options.json else f"{text(result)}\n\n{versus(result)}")
        return 1 if result["faults"] else 0
    samples = measure(scope, cores)
    extras = measure_extras(cores, quick=options.quick)
    result = result_of(samples, scope, extras, f"make bench{flags.upper()}")
    print(json.dumps(result, indent=1) if options.json else text(result))
    if options.write:
        write(DOCUMENT, result)
    lost = {sample.cell for sample in samples} - {sample.cell for sample in samples if not sample.void}
    return 1 if result["faults"] or any(cell.relay in (LIMIT, OURS) for cell in lost) else 0


if __name__ == "__main__":
    sys.exit(main())
