"""For the table of faults: what each one cost the calls that were there, row by row."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from cluster.moves_rig import Call, until
from cluster.scene import Scene, back
from integration.end_to_end_rig import sessions
from integration.faults_rig import hang_up, states
from integration.moves_rig import heard_by, unanswered
from support.eventually import eventually
from support.load import slowdown

LIVE_SECONDS = 120.0
HEADS = (
    "what was done",
    "calls: all / hit / ended",
    "live again after p50 / p95 / most, s",
    "heard by nobody: frames, most of a call",
    "heard twice: frames",
    "agents told",
    "suggestions doubled / questions unanswered",
    "seconds, load",
)


@dataclass
class Row:
    """One fault. Moments are epoch seconds; `bound`: seconds in which 95 of 100 calls that it hits are live again, None: it costs nothing.

    `back`: seconds until each call that was hit was live again.
    """

    what: str
    bound: float | None
    calls: int
    began: float
    struck: float = 0.0
    over: float = 0.0
    hit: int = 0
    back: list[float] = field(default_factory=list)
    ended: int = 0
    told: int = 0
    doubled: int = 0
    unanswered: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    """Frames that nobody heard, by recording."""
    again: int = 0
    load: float = 0.0

    @property
    def worst(self) -> float:
        """The 95th percentile."""
        return self.back[max(0, round(len(self.back) * 0.95) - 1)] if self.back else 0.0

    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        times = f"{median(self.back):.1f} / {self.worst:.1f} / {self.back[-1]:.1f}" if self.back else "–"
        most = max(self.missing.values(), default=0)
        return (
            self.what,
            f"{self.calls} / {self.hit} / {self.ended}",
            times,
            f"{self.missing.total()}, {most / 50:.1f} s" if most else "0",
            str(self.again),
            str(self.told),
            f"{self.doubled} / {self.unanswered}",
            f"{self.over - self.began:.0f}, {self.load:.0f}",
        )


def table(rows: Sequence[Row]) -> str:
    """All rows, as Markdown."""
    lines = [HEADS, tuple("---" for _ in HEADS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class FaultScene(Scene):
    """Calls that last for an act of several faults, and a row for each."""

    spare: Path
    """A recording for calls that begin in between, one after the other."""

    async def first(self, rows: list[Row], spare: Path) -> None:
        """Begins the calls; what is done to them is added to `rows`."""
        self.rows_done, self.spare = rows, spare
        self.also: list[Call] = []
        self._marks: list[tuple[Row, dict[str, int], dict[str, int]]] = []
        await asyncio.to_thread(self.cluster.pods)
        await self.begin()

    @asynccontextmanager
    async def row(self, what: str, bound: float | None = None) -> AsyncIterator[Row]:
        """What is done in it is a row. It lasts until all calls are live and have one more suggestion."""
        counts, since = self.counts(), await self.generations()
        row = Row(what, bound, len(self.calls), time.time())
        self.rows_done.append(row)
        self._marks.append((row, counts, since))
        yield row
        before = self.counts()
        try:
            await self.goes_on(before)
        finally:
            row.over, row.load = time.time(), os.getloadavg()[0]
            now = await self.generations()
            row.hit = row.hit or sum(now[sid] > generation for sid, generation in since.items())
            row.ended = sum(state != "live" for state in await states(self.stage, self.calls))
            row.told = len({call["callSid"] for call in self.calls if self._told(call, row)})

    def _told(self, call: Call, row: Row) -> bool:
        """Whether the agent read anything but "live"."""
        return any(one["data"]["state"] != "live" for one in self.status(call) if row.began <= one["at"] <= row.over)

    async def struck(self, row: Row, hit: Sequence[Call], since: dict[str, int], at: float) -> None:
        """Waits until these calls are live again, and notes after how long each was."""
        row.struck, row.hit = at, len(hit)

        def away() -> list[tuple[str, object]]:
            return [(call["callSid"], self.watch.states(call)[-3:]) for call in hit if not back(self.watch, call, since[call["callSid"]])]

        with suppress(AssertionError):
            await eventually(lambda: not away(), seconds=LIVE_SECONDS, every=0.5)
        row.back = sorted((back(self.watch, call, since[call["callSid"]]) or at + LIVE_SECONDS) - at for call in hit)
        row.ended = len(away())
        assert not away(), row.what
        assert row.bound is None or row.worst < row.bound * slowdown(), row

    async def last(self, quiet: Sequence[Path] = ()) -> None:
        """Hangs up, and fills in what only then is known. `quiet`: recordings of which frames may be missing."""
        asked = await self.asked()
        for call, questions, recording in zip(self.calls, asked, self.recordings, strict=True):
            counts = [counts[call["callSid"]] for _, counts, _ in self._marks] + [len(self.watch.items(call))]
            ends = [sum(len(item["question"].split(" / ")) for item in self.watch.items(call)[:count]) for count in counts]
            for (row, _, _), begin, end in zip(self._marks, ends[:-1], ends[1:], strict=True):
                row.doubled += sum(one == other for one, other in pairwise(questions[max(0, begin - 1) : end]))
                if recording not in quiet:
                    row.unanswered += unanswered(questions[:end]) - unanswered(questions[:begin])
        await hang_up(self.stage, self.calls)
        await until("the relays' last words", lambda: self.cluster.has_told_all(self.calls))
        heard = [one for one in await sessions(self.stage) if one["id"] not in self.before]
        all_recordings = [*self.recordings, *([self.spare] if self.also else [])]
        found = await heard_by(self.stage, all_recordings, heard, gaps=all_recordings, tracks=("customer",))
        playing = {one["callSid"]: one["at"] for one in self.watch.events if one["type"] == "call" and one["event"] == "playing"}
        for call, recording in zip(self.calls, self.recordings, strict=True):
            stretches = found[recording.name, "customer"]
            end = stretches[0].first
            for one in stretches:
                if one.first > end and recording not in quiet:
                    self._at(playing[call["callSid"]] + end / 50).missing[recording.name] += one.first - end
                elif one.first < end:
                    self._at(playing[call["callSid"]] + min(end, one.end) / 50).again += min(end, one.end) - one.first
                end = max(end, one.end)

    def _at(self, moment: float) -> Row:
        """The row in which a moment lies."""
        rows = [row for row, _, _ in self._marks]
        return next((row for row in reversed(rows) if row.began <= moment), rows[0])

    def check(self) -> None:
        """What is promised, of each row of this act."""
        for row, _, _ in self._marks:
            assert (row.ended, row.doubled) == (0, 0), row
            if row.bound is None:
                assert (row.missing.total(), row.told) == (0, 0), row
                assert row.unanswered <= sum(self.broken(call) for call in self.calls), row
            else:
                most = max(row.missing.values(), default=0) / 50
                assert most < (2 * row.bound + 5) * slowdown(), row
