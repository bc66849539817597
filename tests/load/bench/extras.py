"""What the table does not say: starts and ends of calls, memory over time, a scrape, frames joined into one append, audio formats."""

from __future__ import annotations

import random
import statistics
import time
import tracemalloc
from array import array
from pathlib import Path
from typing import Any

from voiceassist_crds.config import AudioFormat
from voiceassist_relay.interfaces import TurnTiming
from voiceassist_relay.metrics.relay_metrics import MAX_REVISIONS, RelayMetrics
from voiceassist_relay.realtime.core.audio_buffer import AudioBuffer
from voiceassist_relay.realtime.core.audio_time import FRAME as SILENCE
from voiceassist_relay.realtime.core.limits import DEFAULT_LIMITS

from .first_drafts import measure_first_drafts
from .measuring import sample, say, scratch, settle, warm
from .processes import HERE, Cores, Rig, rig
from .rows import BASE, OURS, Cell, Sample

BURST = 200
OTHERS = 50
FEW_FRAMES = 3
SCRAPED = 500


def _cpu_ms(pid: int) -> float:
    """CPU that a process has used, in ms: the kernel's clock of that process."""
    return time.clock_gettime((~pid << 3) | 2) * 1000


def _replay_trace() -> array[float]:
    """KB that the replay buffer of one track holds while nobody speaks, frame by frame over a minute.

    Audio is kept for as long as the model's server may have died unheard: from the last byte that came from it, two seconds back. A
    server with nothing to say is heard at every ping, and what is older goes at once.
    """
    found = array("d", bytes(8 * 50 * 120))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    replay = AudioBuffer(DEFAULT_LIMITS.replay_seconds)
    heard = 0.0
    for number in range(50 * 120):
        now = number / 50
        replay.sent(now, bytes(bytearray(SILENCE)))  # each frame bytes of its own
        if not number % int(50 * DEFAULT_LIMITS.housekeeping):
            replay.shrink()
            replay.pack()
            if now - heard >= DEFAULT_LIMITS.ping_every:
                heard = now
                replay.trim(heard - DEFAULT_LIMITS.replay_idle - DEFAULT_LIMITS.housekeeping)
        found[number] = (tracemalloc.get_traced_memory()[0] - before) / 1024
    tracemalloc.stop()
    return found[len(found) // 2 :]


def replay_kb() -> float:
    """What a track's replay buffer holds on an average."""
    return round(statistics.mean(_replay_trace()), 1)


def replay_by_chance_kb(calls: int, tries: int = 100) -> float:
    """What the two buffers of each of so many calls hold in the moment in which all together hold most, where their pings fall by chance.

    That is how it is once their sessions were replaced, and what the process keeps. The median of some tries.
    """
    trace, chance, tops = _replay_trace(), random.Random(1), []
    moments = len(trace) // 2
    for _ in range(tries):
        shifts = [chance.randrange(moments) for _ in range(2 * calls)]
        tops.append(max(sum(trace[at + shift] for shift in shifts) for at in range(0, moments, 25)) / calls)
    return round(statistics.median(tops), 1)


def loop_block(scrape: str, before: str = "") -> float | None:
    """The bucket, in ms, that the longest delay of the event loop since `before` falls in; None above the last one."""

    def counts(text: str) -> dict[float, float]:
        lines = [line for line in text.splitlines() if line.startswith("voiceassist_relay_event_loop_delay_seconds_bucket")]
        return {float(line.split('le="')[1].split('"')[0]): float(line.rsplit(" ", 1)[1]) for line in lines}

    now, then = counts(scrape), counts(before)
    grown = {le: count - then.get(le, 0) for le, count in now.items()}
    total = max(grown.values(), default=0)
    longest = next(le for le, count in sorted(grown.items()) if count >= total)
    return None if longest == float("inf") else longest * 1000


def starts(there: Rig, calls: int, cycles: int) -> dict[str, Any]:
    """Calls that begin, say three frames a track and end, again and again: what one costs, and what stays behind."""
    warm(there)
    there.ask(f"talk {FEW_FRAMES}")
    kept, costs, waits = [there.rss_kb()], [], []
    for _ in range(cycles):
        before = _cpu_ms(there.relay.pid)
        grown = there.ask(f"grow {calls} 40")
        settle(there)
        waits.append((grown["startP50Ms"], grown["startP99Ms"]))
        there.ask("end")
        settle(there)
        costs.append((_cpu_ms(there.relay.pid) - before) / calls)
        kept.append(there.rss_kb())
    there.ask("talk 0")
    half = len(kept) // 2
    return {
        "calls": calls * cycles,
        "cpuMsPerCall": round(min(costs), 2),
        "firstFrameP50Ms": round(statistics.median(wait[0] for wait in waits), 2),
        "firstFrameP99Ms": round(statistics.median(wait[1] for wait in waits), 2),
        "keptKbPerCall": round((kept[-1] - kept[half]) / (calls * (len(kept) - 1 - half)), 2),
    }


def burst(there: Rig, calls: int = BURST) -> dict[str, Any]:
    """So many calls within one second, while others talk: `othersP99Ms` is what those others' frames take meanwhile."""
    there.ask(f"grow {OTHERS} 40")
    settle(there)
    before = there.scrape()
    grown = there.ask(f"grow {OTHERS + calls} {calls}")
    settle(there)
    found = {
        "calls": calls,
        "others": OTHERS,
        "othersP99Ms": grown["othersP99Ms"],
        "failed": grown["failed"],
        "firstFrameP50Ms": grown["startP50Ms"],
        "firstFrameP99Ms": grown["startP99Ms"],
        "seconds": grown["seconds"],
        "longestLoopDelayUnderMs": loop_block(there.scrape(), before),
    }
    there.ask("end")
    settle(there)
    return found


def render_ms() -> float:
    """How long a rendering of /metrics takes, all slices together: every series of frames, turns and revisions there, best of many."""
    metrics, timing = RelayMetrics(), TurnTiming(1, 2, 3, 4, 5, 6)
    revisions = [f"{number:04d}" for number in range(MAX_REVISIONS)]
    metrics.use_revisions(revisions)
    for outcome in ("forwarded", "filled", "replayed", "paused", "dropped", "unused", "duplicate", "malformed"):
        for track in ("customer", "agent"):
            metrics.frames(track, outcome)
    for revision in revisions:
        metrics.suggestion_published(revision, timing, 7)
        for outcome in ("suggested", "not_relevant", "merged", "incomplete", "failed", "paused", "dropped"):
            metrics.turn(outcome, revision, timing)
    took = []
    for _ in range(50):
        began = time.perf_counter()
        metrics.render()
        took.append((time.perf_counter() - began) * 1000)
    return round(min(took), 2)


def scrapes(there: Rig, calls: int, count: int = 20) -> dict[str, Any]:
    """/metrics while so many calls are open: the whole request takes longer than it blocks the loop."""
    there.ask(f"grow {calls} 100")
    settle(there)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        there.scrape()
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(0.05)
    return {"calls": calls, "bestMs": round(min(took), 2), "medianMs": round(statistics.median(took), 2), "blocksMs": render_ms()}


def memory(there: Rig, calls: int, moments: tuple[float, ...]) -> dict[str, Any]:
    """KB for each call at some moments after the calls began.

    They begin evenly over one of the times between pings: memory that was used once stays with the process, and calls in step would
    leave it with what all their audio buffers hold at their fullest.
    """
    base = warm(there)
    there.ask(f"grow {calls} {calls / DEFAULT_LIMITS.ping_every:.0f}")
    began = time.monotonic()
    found = []
    for moment in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        found.append(round((there.rss_kb() - base) / calls, 1))
        say(f"  {moment:.0f} s: {found[-1]} KB for each call")
    seen = there.ask("measure 1")
    replay = 2 * replay_kb()
    return {
        "calls": calls,
        "seconds": list(moments),
        "kbPerCall": found,
        "replayKb": replay,
        "replayByChanceKb": replay_by_chance_kb(calls),
        "besideReplayKb": round(found[-1] - replay, 1),
        "wrong": seen["first"],
    }


def joined(folder: Path, cores: Cores, calls: int, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """1, 2 and 3 frames in one append: CPU of a frame, and how long it takes."""
    found: dict[int, list[Any]] = {1: [], 2: [], 3: []}
    for _ in range(rounds):
        for frames, samples in found.items():
            with rig(folder, OURS, 1, cores, tls=False, launcher=[HERE / "joining_relay.py", str(frames)]) as there:
                base = warm(there)
                samples.append(sample(there, Cell(OURS, "joined", 1, False), calls, seconds, base, cores))
    alone = statistics.median(s.cpu_us_per_frame for s in found[1])
    return [
        {
            "ms": 20 * frames,
            "cpuUsPerFrame": round(cost := statistics.median(s.cpu_us_per_frame for s in samples), 2),
            "saves": round(1 - cost / alone, 3),
            "p50Ms": round(statistics.median(s.p50_us for s in samples) / 1000, 2),
            "p99Ms": round(statistics.median(s.p99_us for s in samples) / 1000, 2),
        }
        for frames, samples in found.items()
    ]


def formats(folder: Path, cores: Cores, calls: int, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """What a frame costs the whole process in each format that the model may take, in turn, and how much of that as it comes."""
    found: dict[AudioFormat, list[Sample]] = {form: [] for form in AudioFormat}
    for _ in range(rounds):
        for form, samples in found.items():
            with rig(folder, OURS, 1, cores, tls=False, audio_format=form) as there:
                base = warm(there)
                samples.append(sample(there, Cell(OURS, form.value, 1, False), calls, seconds, base, cores))
    plain = statistics.median(s.cpu_us_per_frame for s in found[AudioFormat.PCMU])
    return [
        {
            "format": form.value,
            "calls": calls,
            "cpuUsPerFrame": round(cost := statistics.median(s.cpu_us_per_frame for s in samples), 2),
            "ratio": round(cost / plain, 3),
            "ratios": [round(s.cpu_us_per_frame / p.cpu_us_per_frame, 3) for s, p in zip(samples, found[AudioFormat.PCMU], strict=True)],
            "p50Ms": round(statistics.median(s.p50_us for s in samples) / 1000, 2),
            "p99Ms": round(statistics.median(s.p99_us for s in samples) / 1000, 2),
            "void": [s.void for s in samples if s.void],
            "wrong": next((s.fault for s in samples if s.fault), ""),
        }
        for form, samples in found.items()
    ]


def begun_calls(folder: Path, relay: str, cores: Cores, base: Path | None, *, quick: bool) -> dict[str, Any]:
    """What calls of one relay cost at their beginning, and what they hold."""
    found: dict[str, Any] = {}
    with rig(folder, relay, 2, cores, tls=False, base=base) as there:
        found["start"] = starts(there, 20 if quick else 50, 2 if quick else 6)
        found["burst"] = burst(there)
        say(f"{relay}, starts: {found['start']}, burst: {found['burst']}")
    with rig(folder, relay, 2, cores, tls=False, base=base) as there:
        found["memory"] = memory(there, 100, (5.0,) if quick else (10.0, 25.0, 40.0, 55.0))
        say(f"{relay}, memory: {found['memory']}")
    return found


def measure_base(cores: Cores, base: Path, *, quick: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of ours and of the other commit, one after the other."""
    with scratch() as folder:
        ours, other = (begun_calls(folder, relay, cores, base, quick=quick) for relay in (OURS, BASE))
    other["firstDraft"] = measure_first_drafts(eager=False, quick=quick, base=base)
    return ours | drafts(quick=quick), other


def drafts(*, quick: bool) -> dict[str, Any]:
    """First drafts of our relay: `firstDraft` with `eager`, `firstDraftInTurn` without."""
    found = {
        "firstDraftInTurn": measure_first_drafts(eager=False, quick=quick),
        "firstDraft": measure_first_drafts(eager=True, quick=quick),
    }
    say(f"first drafts: {found}")
    return found


def measure_extras(cores: Cores, *, quick: bool) -> dict[str, Any]:
    """All of it, for our relay with every feature on."""
    with scratch() as folder:
        found = begun_calls(folder, OURS, cores, None, quick=quick)
        with rig(folder, OURS, 1, cores, tls=False) as there:
            found["scrape"] = scrapes(there, 100 if quick else SCRAPED)
            say(f"scrape: {found['scrape']}")
        found["joined"] = joined(folder, cores, 100 if quick else 300, 1.0 if quick else 2.5, 1 if quick else 3)
        say(f"joined: {found['joined']}")
        found["formats"] = formats(folder, cores, 100, 1.0 if quick else 2.5, 1 if quick else 3)
        say(f"formats: {found['formats']}")
    return found | drafts(quick=quick)
