"""From the last frame of the customer's speech to the first draft in Sync: the sample calls through a real relay, as a whole path.

The model's stand-in takes 300 ms to its first token. A draft counts if it became a finished suggestion; what was withdrawn does not.
All clocks are this machine's.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import cut
from voiceassist_crds import names
from voiceassist_demo.feed import Event, follow
from voiceassist_demo.stage import Stage, sample_calls
from voiceassist_sim.openai.formats import PCMU
from voiceassist_sim.openai.phrasebook import SampleCall, Utterance, load_sample_calls

from .rows import share

FIRST_TOKEN_MS = 300
LOUD_DBFS = -40
"""What the stand-in's voice activity detection takes for speech."""
BEFORE_MS = 300
"""Silence ahead of a single question."""
_FRAME = 160


@dataclass(frozen=True, slots=True)
class Recording:
    """What is played, and when each of the customer's utterances in it has its last frame with a voice, ms."""

    path: Path
    ends: tuple[float, ...]

    def end_before(self, ms: float) -> float | None:
        """The latest end of speech before a moment."""
        return max((end for end in self.ends if end < ms), default=None)


def whole_calls() -> list[Recording]:
    """The sample calls."""
    return [Recording(sample_calls() / f"{call.name}.wav", tuple(map(_last_voice, _of_customer(call)))) for call in load_sample_calls()]


def single_questions(folder: Path) -> list[Recording]:
    """Three of the customer's questions, a recording each."""
    (call,) = [call for call in load_sample_calls() if call.name == "lost-parcel"]
    asked = [one for one in _of_customer(call) if one.relevant]
    return [Recording(cut(folder, one.id.split("/")[1], before=BEFORE_MS), (_last_voice(one) - one.start_ms + BEFORE_MS,)) for one in asked]


def _of_customer(call: SampleCall) -> list[Utterance]:
    return [one for one in call.utterances if one.speaker == "customer"]


def _last_voice(said: Utterance) -> float:
    frames = [said.audio[at : at + _FRAME].ljust(_FRAME, b"\xff") for at in range(0, len(said.audio), _FRAME)]
    loud = [number for number, level in enumerate(PCMU.levels(b"".join(frames))) if level >= LOUD_DBFS]
    return said.start_ms + 20.0 * (loud[-1] + 1)


def first_drafts(events: list[Event], call_sid: str, recording: Recording) -> list[float]:
    """Milliseconds from the last frame of speech to the first draft of each finished suggestion of one call."""
    playing = next((e["at"] for e in events if e["type"] == "call" and e["event"] == "playing" and e["callSid"] == call_sid), None)
    stream = names.sync_stream(call_sid, "")
    sent = [e for e in events if e["type"] == "sync" and e["event"] == "message" and str(e["uniqueName"]).startswith(stream)]
    finished = {e["data"]["id"] for e in sent if e["data"]["type"] == "suggestion"}
    begun: dict[str, float] = {}
    for event in sent:
        if event["data"]["type"] == "draft" and event["data"]["id"] in finished:
            begun.setdefault(event["data"]["id"], event["at"])
    found = []
    for at in begun.values():
        ms = 1000 * (at - playing) if playing is not None else 0.0
        end = recording.end_before(ms)
        if end is not None:
            found.append(ms - end)
    return found


async def play(recordings: list[Recording], *, eager: bool, base: Path | None) -> tuple[list[float], dict[str, float]]:
    """Plays recordings at once through one relay; gives the waits of their drafts and the relay's counters of responses asked ahead."""
    config: dict[str, Any] = {"audio": {"tracks": "Customer"}}
    if eager:
        config["model"] = {"turnDetection": {"eager": {}}}
    command = ("sh", "-c", f'shift; exec {base / ".venv/bin/voiceassist-relay"} "$@"', "relay") if base is not None else ()
    with tempfile.TemporaryDirectory(prefix="voiceassist-bench-") as folder:
        async with Stage(Path(folder), calls=sample_calls(), config=config, relay_at=command) as stage:
            status, told = await stage.send("PUT", f"{stage.model_url}/_sim/behaviour", {"firstTokenMs": FIRST_TOKEN_MS})
            assert status == 200, told
            events: list[Event] = []
            ready = asyncio.Event()
            feed = asyncio.create_task(follow(stage.http, f"{stage.twilio_url}/_sim/events", events.append, ready))
            await asyncio.wait_for(ready.wait(), 30)
            try:
                begun = [(await _begin(stage, one.path), one) for one in recordings]
                async with asyncio.timeout(120):
                    while not {sid for sid, _ in begun} <= {e["callSid"] for e in events if e["type"] == "call" and e["event"] == "ended"}:
                        await asyncio.sleep(0.2)
                await asyncio.sleep(1.0)
                counted = {name: value for name, value in (await stage.metrics()).items() if name.startswith(("early_", "tokens_total"))}
            finally:
                feed.cancel()
                await asyncio.gather(feed, return_exceptions=True)
            return [ms for sid, recording in begun for ms in first_drafts(events, sid, recording)], counted


async def _begin(stage: Stage, recording: Path) -> str:
    made = await stage.new_call(recording, hangUp="recording")
    status, answer = await stage.act("start", made)
    assert status == 200, answer
    await asyncio.sleep(0.37)  # not in step
    return str(made["callSid"])


def result_of(found: list[float], counted: dict[str, float]) -> dict[str, Any]:
    """Percentiles in ms, and which share of all tokens came to nothing."""
    tokens = sum(value for name, value in counted.items() if name.startswith("tokens_total"))
    return {
        "drafts": len(found),
        "p50Ms": round(share(found, 0.5), 1),
        "p95Ms": round(share(found, 0.95), 1),
        "wastedShare": round(counted.get("early_wasted_tokens_total", 0.0) / tokens, 3) if tokens else 0.0,
    }


def measure_first_drafts(*, eager: bool, quick: bool, base: Path | None = None) -> dict[str, Any]:
    """Of all sample calls, each played twice at the same time; `quick`: once."""
    return result_of(*asyncio.run(play(whole_calls() * (1 if quick else 2), eager=eager, base=base)))


async def compared(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A hint within seconds: three questions, without and with `eager`, side by side."""
    recordings = single_questions(folder)
    plain, eager = await asyncio.gather(*(play(recordings, eager=eager, base=None) for eager in (False, True)))
    return result_of(*plain), result_of(*eager)
