"""The benchmark itself: exact audio through every relay, the form of its result, and what it does not let pass. No figure is judged."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path

import pytest

from voiceassist_crds.config import AudioFormat
from voiceassist_crds.names import sync_stream
from voiceassist_demo.feed import Event

from .bench.__main__ import result_of
from .bench.extras import formats
from .bench.first_drafts import Recording, compared, first_drafts
from .bench.measuring import Scope, measure
from .bench.processes import RELAYS, Cores, rig
from .bench.report import BEGIN, END, by_format, versus, write
from .bench.rows import Cell, Sample, beside, fitting, rows, versus_base

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

SOUND = Sample(Cell("limit", "100", 1, False), 100, 10_000, 10_000, 0, 100_000.0, 100.0, 500.0, 300.0, 0.3, 0.1, 36.0)
KEYS = ["relay", "calls", "tracks", "tls", "cpuUsPerFrame", "ratioToLimit", "p50Ms", "p99Ms", "kbPerCall"]


@pytest.mark.parametrize(("tracks", "tls", "relays"), [(1, False, (*RELAYS, "base")), (2, True, ("limit", "ours"))])
def test_every_relay_carries_every_frame_untouched_and_in_order(tmp_path: Path, tracks: int, tls: bool, relays: tuple[str, ...]) -> None:
    """`base` would be another commit's; here it is this one's."""
    scope = Scope(seconds=0.4, rounds=1, loads=((tracks, tls),), relays=relays, middle=4, most=6, base=Path(sys.prefix).parent)
    samples = measure(scope, Cores(None, None))
    assert {sample.cell.relay for sample in samples} == set(relays)
    assert [sample.first_wrong for sample in samples if sample.wrong] == []
    assert all(sample.appends > 0 for sample in samples)
    result = json.loads(json.dumps(result_of(samples, scope, None, "make bench")))
    assert all(list(row) == KEYS for row in result["rows"])
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, result)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert text.count("\n| ours |") == sum(row["relay"] == "ours" for row in result["rows"])


def test_audio_that_is_not_the_next_frame_is_seen(tmp_path: Path) -> None:
    """A relay that sends the agent's track into the customer's session: the generator says so."""
    with rig(tmp_path, "limit", 1, Cores(None, None), tls=False, most=2) as there:
        there.ask("tracks 2")  # of which this relay knows nothing: it puts both into one session
        there.ask("grow 1 50 1")
        seen = there.ask("measure 0.3")
        assert seen["wrong"] > 0
        assert "another frame than the next one" in seen["first"]


def test_every_frame_is_there_in_each_format_and_another_format_is_seen(tmp_path: Path) -> None:
    """Of PCM the generator makes mu-law again: each frame is the next one, to the byte."""
    found = formats(tmp_path, Cores(None, None), 3, 0.4, 1)
    assert [one["format"] for one in found] == ["PCMU", "PCM16k", "PCM24k"]
    assert [one["wrong"] for one in found] == ["", "", ""]
    assert all(one["cpuUsPerFrame"] > 0 for one in found)
    assert "| PCM24k to the model, 3 calls |" in by_format(found)[2]
    with rig(tmp_path, "ours", 1, Cores(None, None), tls=False, most=2, audio_format=AudioFormat.PCM16K) as there:
        there.ask("pcm 3")
        there.ask("grow 1 50 1")
        assert "no frame of this rate" in there.ask("measure 0.3")["first"]


@pytest.mark.parametrize(
    ("change", "why"),
    [({"generator_share": 0.9}, "the generator used 90% of its core"), ({"late_us": 25_000.0}, "the generator was 25.0 ms late (p99)")],
)
def test_a_run_with_the_generator_saturated_is_void(change: dict[str, float], why: str) -> None:
    void = dataclasses.replace(SOUND, cpu_us=1.0, **change)
    assert void.void == why
    assert rows([void]) == []
    assert [row["cpuUsPerFrame"] for row in rows([SOUND, void])] == [10.0]
    assert beside([SOUND, void])[0]["void"] == [why]


def test_wrong_audio_is_a_fault_and_a_relay_that_is_behind_says_nothing() -> None:
    assert (SOUND.fault, SOUND.void) == ("", "")
    assert dataclasses.replace(SOUND, appends=9_000).void == "the relay was behind: 10000 frames, 9000 appends"
    assert "3 wrong: x" in dataclasses.replace(SOUND, wrong=3, first_wrong="x").fault


def test_the_ratio_is_to_the_limit_under_the_same_load() -> None:
    ours = dataclasses.replace(SOUND, cell=Cell("ours", "100", 1, False), cpu_us=200_000.0)
    other = dataclasses.replace(ours, cell=Cell("ours", "100", 2, False))
    found = rows([ours, dataclasses.replace(ours, cpu_us=180_000.0), dataclasses.replace(ours, cpu_us=900_000.0), SOUND, other])
    assert [(row["relay"], row["tracks"], row["ratioToLimit"]) for row in found] == [("ours", 1, 2.0), ("limit", 1, 1.0), ("ours", 2, None)]


def test_ours_is_compared_with_another_commit_of_the_same_run() -> None:
    ours = dataclasses.replace(SOUND, cell=Cell("ours", "highest", 1, False), cpu_us=120_000.0)
    base = dataclasses.replace(SOUND, cell=Cell("base", "highest", 1, False), cpu_us=200_000.0)
    begun = {
        "ours": {
            "start": {"cpuMsPerCall": 9.0},
            "burst": {"firstFrameP99Ms": 500.0, "othersP99Ms": 9.0},
            "memory": {"kbPerCall": [150.0, 110.0]},
        }
        | {"firstDraft": {"p50Ms": 450.0, "p95Ms": 600.0}},
        "base": {
            "start": {"cpuMsPerCall": 18.0},
            "burst": {"firstFrameP99Ms": 2000.0, "othersP99Ms": 90.0},
            "memory": {"kbPerCall": [150.0, 220.0]},
        }
        | {"firstDraft": {"p50Ms": 900.0, "p95Ms": 1000.0}},
    }
    found = versus_base([ours, dataclasses.replace(ours, cpu_us=1.0, generator_share=0.9), base], begun["ours"], begun["base"])
    assert found == {"cpuPerFrame": 0.6, "callsPerCore": 1.667, "startCpu": 0.5, "startP99": 0.25, "kbPerCall": 0.5} | {
        "firstDraftP50": 0.5,
        "firstDraftP95": 0.6,
    }
    assert versus_base([ours], None, None) == dict.fromkeys(found)
    assert "cpuPerFrame 0.6, callsPerCore 1.667" in versus({"begun": begun, "versusBase": found})


def test_the_highest_count_keeps_both_cores_under_the_mark() -> None:
    assert fitting(0.3, 0.2, 100, 1000) == 220
    assert fitting(0.2, 0.3, 100, 1000) == 220  # the generator is the one that is full
    assert fitting(0.01, 0.01, 100, 1000) == 1000


def test_the_first_draft_counts_from_the_last_frame_of_speech_if_it_became_a_suggestion() -> None:
    call, stream = "CA" + "1" * 32, sync_stream("CA" + "1" * 32, "x")

    def sync(at: float, kind: str, item: str) -> Event:
        return {"type": "sync", "event": "message", "uniqueName": stream, "at": at, "data": {"type": kind, "id": item}}

    events: list[Event] = [{"type": "call", "event": "playing", "callSid": call, "at": 100.0}]
    events += [sync(102.4, "draft", "withdrawn"), sync(103.5, "draft", "a"), sync(103.6, "draft", "a"), sync(104.0, "suggestion", "a")]
    assert first_drafts(events, call, Recording(Path(), (2000.0, 3000.0, 3600.0))) == [pytest.approx(500.0)]


async def test_who_is_asked_ahead_writes_sooner(tmp_path: Path) -> None:
    """A quick ratio with a wide bound: 0.57 on a machine with nothing else to do."""
    plain, eager = await compared(tmp_path)
    assert plain["drafts"] == eager["drafts"] == 3
    assert plain["wastedShare"] == 0
    assert eager["p50Ms"] <= 0.85 * plain["p50Ms"], (plain, eager)


def test_calls_that_say_little_are_silent_and_those_before_are_told_apart(tmp_path: Path) -> None:
    with rig(tmp_path, "limit", 1, Cores(None, None), tls=False, most=8) as there:
        assert there.ask("grow 3 50")["othersP99Ms"] == 0, "nobody was there before"
        grown = there.ask("grow 6 2")
        assert grown["live"] == 6
        assert grown["othersP99Ms"] > 0
        there.ask("end")
        there.ask("talk 3")
        there.ask("grow 4 50")
        time.sleep(1.5)
        seen = there.ask("measure 0.5")
        assert (seen["frames"], seen["wrong"]) == (0, 0)
