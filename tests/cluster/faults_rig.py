"""For the table of faults: what each one cost the calls that were there, row by row."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from cluster.moves_rig import Call, until
from cluster.scene import Scene, back
from integration.end_to_end_rig import sessions
from integration.faults_rig import hang_up, states
from integration.moves_rig import ends, heard_by, questions
from support.eventually import eventually
from support.load import slowdown
from voiceassist_crds import names

LIVE_SECONDS = 120.0
HALT_MS = 150.0
"""A stream that Twilio's stand-in sends so late is no customer's: what is said in it may fall apart into two turns."""
QUIET = (40.0, 130.0)
"""Where in a quiet call's recording nobody speaks: from when, and for how long."""
WITHOUT_FRAMES = (43.0, 165.0)
"""From when until when Twilio sends none."""
QUIET_CALL_SECONDS = 300.0
HEADS = (
    "what was done",
    "calls: all / hit / ended",
    "live again after p50 / p95 / most, s",
    "heard by nobody: frames, most of a call",
    "heard twice: frames",
    "agents told",
    "suggestions doubled / questions unanswered, in calls without a halt of the stand-in",
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
    steady: int = 0
    """Calls whose streams were sent in time; what was doubled and not answered is counted in these alone."""
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
            f"{self.doubled} / {self.unanswered}, in {self.steady}",
            f"{self.over - self.began:.0f}, {self.load:.0f}",
        )


def table(rows: Sequence[Row]) -> str:
    """All rows, as Markdown."""
    lines = [HEADS, tuple("---" for _ in HEADS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


CUT_SECONDS = 1.5
"""What is left of a question where a stream is cut may be enough for an answer."""


def _which(answered: Sequence[tuple[str, float]]) -> list[int]:
    """Of each question and when (seconds of the recording) its answer came: which of the recording's it was. They come again and again."""
    until = ends(round(max((at for _, at in answered), default=0.0)))
    asked = questions(len(until))
    found = [
        [number for number, (text, end) in enumerate(zip(asked, until, strict=True)) if text == question and end - CUT_SECONDS < at]
        for question, at in answered
    ]
    assert all(found), f"answered before it was asked: {answered}"
    return [max(numbers) for numbers in found]


def _missing(which: Sequence[int]) -> int:
    """How many are missing before the last of them."""
    return max(which, default=-1) + 1 - len(set(which))


class FaultScene(Scene):
    """Calls that last for an act of several faults, and a row for each."""

    spare: Path
    """A recording for calls that begin in between, one after the other."""

    async def first(self, rows: list[Row], spare: Path) -> None:
        """Begins the calls; what is done to them is added to `rows`."""
        self.rows_done, self.spare = rows, spare
        self.also: list[Call] = []
        self.quiet: list[tuple[Call, Path, Row]] = []
        self._marks: list[tuple[Row, dict[str, int], dict[str, int]]] = []
        """Each row, with how many suggestions each call had before it and after it."""
        await asyncio.to_thread(self.cluster.pods)
        await self.begin()

    @asynccontextmanager
    async def row(self, what: str, bound: float | None = None) -> AsyncIterator[Row]:
        """What is done in it is a row. It lasts until all calls are live and have one more suggestion."""
        ends: dict[str, int] = {}
        since = await self.generations()
        row = Row(what, bound, len(self.calls), time.time())
        self.rows_done.append(row)
        self._marks.append((row, self.counts(), ends))
        yield row
        before = self.counts()
        try:
            await self.goes_on(before)
        finally:
            row.over, row.load = time.time(), os.getloadavg()[0]
            ends |= self.counts()
            now = await self.generations()
            row.hit = row.hit or sum(now[sid] > generation for sid, generation in since.items())
            row.ended = sum(state != "live" for state in await states(self.stage, self.calls))
            row.told = len({call["callSid"] for call in self.calls if self._told(call, row)})

    def _told(self, call: Call, row: Row) -> bool:
        """Whether the agent read anything but "live"."""
        return any(one["data"]["state"] != "live" for one in self.status(call) if row.began <= one["at"] <= (row.over or one["at"]))

    async def struck(self, row: Row, hit: Sequence[Call], since: dict[str, int], at: float) -> None:
        """Waits until these calls are live again, and notes after how long each was."""
        row.struck, row.hit = at, len(hit)

        def away() -> list[tuple[str, object]]:
            return [(call["callSid"], self.watch.states(call)[-3:]) for call in hit if not self._back(call, row, since[call["callSid"]])]

        with suppress(AssertionError):
            await eventually(lambda: not away(), seconds=LIVE_SECONDS, every=0.5)
        row.back = sorted(max(0.0, (self._back(call, row, since[call["callSid"]]) or at + LIVE_SECONDS) - at) for call in hit)
        row.ended = len(away())
        assert not away(), row.what
        assert row.bound is None or row.worst < row.bound * slowdown(), row

    def _back(self, call: Call, row: Row, since: int) -> float | None:
        """When (epoch seconds) the agent read that the call is live again; of one that was moved before that, and whose agent read nothing,
        when the next relay had it."""
        if (told := back(self.watch, call, since)) is not None or self._told(call, row):
            return told
        name = names.call_document(call["callSid"])
        documents = (one for one in self.watch.events if one["type"] == "sync" and one["uniqueName"] == name and one.get("data"))
        return next((float(one["at"]) for one in documents if one["data"]["generation"] > since and one["data"]["state"] == "live"), None)

    async def quiet_call(self, recording: Path, *, paused: bool) -> None:
        """A call of five minutes, beside all else, without frames for two minutes; its agent pauses it then, or does not."""
        row = Row(f"five minutes of a call{', paused in between' if paused else ''}, two without frames", None, 1, time.time())
        call = await self.cluster.start(recording, {"silent_gaps": False})
        self.quiet.append((call, recording, row))
        await eventually(lambda: self._playing(call), what="a quiet call is heard")

        async def is_at(seconds: float) -> None:
            await asyncio.sleep(max(0.0, self._playing(call) + seconds - time.time()))

        async def act(action: str) -> None:
            if paused:
                status, answer = await self.cluster.agents.act(action, call)
                assert (status, answer["confirmed"]) == (200, True), answer

        begin, end = WITHOUT_FRAMES
        await is_at(begin)
        await act("pause")
        await self.cluster.put_faults(call, silent_gaps=True)
        await is_at(end)
        before = len(self.watch.items(call))
        await self.cluster.put_faults(call, silent_gaps=False)
        await act("resume")
        await eventually(lambda: len(self.watch.items(call)) > before, seconds=60, what="a suggestion after the silence")
        await is_at(QUIET_CALL_SECONDS)
        row.over, row.load = time.time(), os.getloadavg()[0]
        [state] = await states(self.stage, [call])
        row.ended, row.told = (
            int(state != "live"),
            int({one["data"]["state"] for one in self.status(call)} > {"starting", "live", "paused"}),
        )

    def _playing(self, call: Call) -> float:
        """When (epoch seconds) the call's recording began; 0: it has not."""
        own = (one for one in self.watch.events if one["type"] == "call" and one["callSid"] == call["callSid"])
        return next((float(one["at"]) for one in own if one["event"] == "playing"), 0.0)

    async def _halts(self) -> Counter[str]:
        """The longest delay (ms) of a frame in each call, by the stand-in."""
        longest: Counter[str] = Counter()
        for one in (await self.cluster.get(f"{self.cluster.twilio_url}/_sim/streams"))["streams"]:
            longest[one["callSid"]] = max(longest[one["callSid"]], one["longestDelayMs"])
        return longest

    async def last(self) -> None:
        """Hangs up, and fills in what only then is known."""
        await self.asked()
        await asyncio.to_thread(self.cluster.pods)
        halts = await self._halts()
        for call in self.calls:
            if halts[call["callSid"]] > HALT_MS:
                continue
            items = self.watch.timed_items(call)
            sizes = [len(item["question"].split(" / ")) for _, item in items]
            answered = [(question, at - self._playing(call)) for at, item in items for question in item["question"].split(" / ")]
            which = _which(answered)
            for row, first, last in self._marks:
                begin, end = sum(sizes[: first[call["callSid"]]]), sum(sizes[: last.get(call["callSid"], len(sizes))])
                row.steady += 1
                row.doubled += (end - begin) - (len(set(which[:end])) - len(set(which[:begin])))
                row.unanswered += _missing(which[:end]) - _missing(which[:begin])
        await self.hang_up()
        await until("the relays' last words", lambda: self.cluster.pods() and self.cluster.has_told_all(self.calls))
        heard = [one for one in await sessions(self.stage) if one["id"] not in self.before]
        all_recordings = [*self.recordings, *([self.spare] if self.also else []), *(recording for _, recording, _ in self.quiet)]
        found = await heard_by(self.stage, all_recordings, heard, gaps=all_recordings, tracks=("customer",))
        for call, recording in zip(self.calls, self.recordings, strict=True):
            began = self._playing(call)
            stretches = found[recording.name, "customer"]
            end = stretches[0].first
            for one in stretches:
                if one.first > end:
                    self._at(began + end / 50).missing[recording.name] += one.first - end
                else:
                    self._at(began + min(end, one.end) / 50).again += min(end, one.end) - one.first
                end = max(end, one.end)
        for _, recording, row in self.quiet:
            heard_frames = {frame for one in found[recording.name, "customer"] for frame in range(one.first, one.end)}
            wanted = {*range(min(heard_frames), int(QUIET[0] * 50)), *range(int(sum(QUIET) * 50), max(heard_frames))}
            row.missing[recording.name] = len(wanted - heard_frames)
            row.again = sum(one.end - one.first for one in found[recording.name, "customer"]) - len(heard_frames)
            self.rows_done.append(row)

    async def hang_up(self) -> None:
        """Ends all calls, if that was not done yet."""
        await hang_up(self.stage, [*self.calls, *(call for call, _, _ in self.quiet)])

    def _at(self, moment: float) -> Row:
        """The row in which a moment lies."""
        rows = [row for row, _, _ in self._marks]
        return next((row for row in reversed(rows) if row.began <= moment), rows[0])

    def check(self) -> None:
        """What is promised, of each row of this act."""
        for row in [*(row for row, _, _ in self._marks), *(row for _, _, row in self.quiet)]:
            assert row.ended == 0, row
            if row.bound is None:
                assert row.doubled == 0, row
                assert (row.missing.total(), row.told) == (0, 0), row
                assert row.unanswered == 0, row
            else:
                most = max(row.missing.values(), default=0) / 50
                assert most < (2 * row.bound + 5) * slowdown(), row
