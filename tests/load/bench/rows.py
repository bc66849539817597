"""From samples to rows: which samples are void, medians, the ratio to the limit, spread (pure)."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FULL = 0.70
"""The share of its core that the relay, and the generator, stay under in the row of the highest count."""
SATURATED = 0.85
"""A generator that uses more of its core than this measures itself."""
LATE_US = 10_000.0
"""A generator whose frames leave later than this (p99) is not the load that it says it is."""
FRAMES_PER_SECOND = 50
LIMIT, SANS_IO, OURS, BASE = "limit", "sans-io", "ours", "base"
"""`base`: ours at another commit."""


@dataclass(frozen=True)
class Cell:
    """What was measured: a relay under a load. `step`: 1, 100 or highest."""

    relay: str
    step: str
    tracks: int
    tls: bool


@dataclass(frozen=True)
class Sample:
    """One measurement of a cell. Shares are of one core; `others` is what the rest of the machine used of the relay's core."""

    cell: Cell
    calls: int
    frames: int
    appends: int
    wrong: int
    cpu_us: float
    p50_us: float
    p99_us: float
    late_us: float
    generator_share: float
    relay_share: float
    kb: float
    others: float = 0.0
    first_wrong: str = ""

    @property
    def cpu_us_per_frame(self) -> float:
        """User and system time of the relay's process for each frame."""
        return self.cpu_us / max(1, self.frames)

    @property
    def fault(self) -> str:
        """What of the audio was not as it must be; empty if all of it was."""
        return f"{self.wrong} wrong: {self.first_wrong}" if self.wrong else ""

    @property
    def void(self) -> str:
        """Why the sample says nothing about the relay; empty if it does."""
        if self.generator_share > SATURATED:
            return f"the generator used {self.generator_share:.0%} of its core"
        if self.late_us > LATE_US:
            return f"the generator was {self.late_us / 1000:.1f} ms late (p99)"
        if abs(self.frames - self.appends) > max(50, self.frames // 20, self.calls * 2):
            return f"the relay was behind: {self.frames} frames, {self.appends} appends"
        return ""


def fitting(share: float, generator_share: float, calls: int, most: int) -> int:
    """How many calls bring the busier of relay and generator just under `FULL`, judged by what so many calls took."""
    room = (FULL - 0.04) / max(share, generator_share, 1e-3)
    return max(1, min(most, round(calls * room)))


def share(values: list[float], part: float) -> float:
    """A percentile of measured values (nearest rank); 0 of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))] if ranked else 0.0


def rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """The table's rows, in the order in which cells were first measured; cells with void samples only have none."""
    by_cell: dict[Cell, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_cell[sample.cell].append(sample)
    sound = {cell: good for cell, found in by_cell.items() if (good := [s for s in found if not s.void])}

    def cpu(cell: Cell) -> float:
        return statistics.median(s.cpu_us_per_frame for s in sound[cell])

    made = []
    for cell, good in sound.items():
        limit = Cell(LIMIT, cell.step, cell.tracks, cell.tls)
        made.append(
            {
                "relay": cell.relay,
                "calls": round(statistics.median(s.calls for s in good)),
                "tracks": cell.tracks,
                "tls": cell.tls,
                "cpuUsPerFrame": round(cpu(cell), 2),
                "ratioToLimit": round(cpu(cell) / cpu(limit), 2) if limit in sound else None,
                "p50Ms": round(statistics.median(s.p50_us for s in good) / 1000, 3),
                "p99Ms": round(statistics.median(s.p99_us for s in good) / 1000, 3),
                "kbPerCall": round(statistics.median(s.kb for s in good), 1),
            }
        )
    return made


def beside(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """What is said of each row beside it: spread, shares of the cores, calls that would fill `FULL` of one, void samples."""
    by_cell: dict[Cell, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_cell[sample.cell].append(sample)
    made = []
    for cell, found in by_cell.items():
        costs = [s.cpu_us_per_frame for s in found if not s.void]
        entry: dict[str, Any] = {
            "relay": cell.relay,
            "step": cell.step,
            "tracks": cell.tracks,
            "tls": cell.tls,
            "samples": len(found),
            "void": [s.void for s in found if s.void],
            "generatorShare": round(statistics.median(s.generator_share for s in found), 3),
            "relayShare": round(statistics.median(s.relay_share for s in found), 3),
            "othersShare": round(max(s.others for s in found), 3),
        }
        if costs:
            entry["spreadUs"] = [round(min(costs), 2), round(max(costs), 2)]
            entry["callsPerCore"] = int(FULL * 1e6 / (statistics.median(costs) * FRAMES_PER_SECOND * cell.tracks))
        made.append(entry)
    return made


def versus_base(samples: Iterable[Sample], extras: dict[str, Any] | None, base_extras: dict[str, Any] | None) -> dict[str, Any]:
    """Ours divided by the other commit's, of the same run; None for what was not measured of both.

    `cpuPerFrame` and `callsPerCore`: one track, plain sockets, each at the highest count that it carries. `firstDraftP50` and
    `firstDraftP95`: ours with `model.turnDetection.eager`, the other as it is by default.
    """
    medians: dict[str, float] = {}
    for relay in (OURS, BASE):
        costs = [s.cpu_us_per_frame for s in samples if s.cell == Cell(relay, "highest", 1, False) and not s.void]
        if costs:
            medians[relay] = statistics.median(costs)

    def ratio(kind: str, key: str) -> float | None:
        ours, base = ((found or {}).get(kind, {}).get(key) for found in (extras, base_extras))
        last = [value[-1] if isinstance(value, list) else value for value in (ours, base)]
        return round(last[0] / last[1], 3) if all(last) else None

    cost = round(medians[OURS] / medians[BASE], 3) if len(medians) == 2 else None
    return {
        "cpuPerFrame": cost,
        "callsPerCore": round(1 / cost, 3) if cost else None,
        "startCpu": ratio("start", "cpuMsPerCall"),
        "startP99": ratio("burst", "firstFrameP99Ms"),
        "kbPerCall": ratio("memory", "kbPerCall"),
        "firstDraftP50": ratio("firstDraft", "p50Ms"),
        "firstDraftP95": ratio("firstDraft", "p95Ms"),
    }
