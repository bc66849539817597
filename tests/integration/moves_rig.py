"""For tests of calls that move: recordings with a line noise that makes every frame unlike any other, and the account of what was heard."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import wave
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from integration.end_to_end_rig import CALLS
from integration.faults_rig import PAUSE_MS, QUESTIONS
from voiceassist_demo.stage import RelayProcess, Stage
from voiceassist_sim.audio import FRAME_BYTES, load_call

SILENT_FRAME = b"\xff" * FRAME_BYTES
TRACKS = {"realtime": "customer", "transcription": "agent"}


def asking_on_a_line(folder: Path, seconds: float, call: int) -> Path:
    """A recording of questions, one after the other, some 4 s each; between them both lines have a quiet noise of their own."""
    path = folder / f"line-{call}-{seconds:g}.wav"
    noise = np.random.default_rng(call)
    with wave.open(str(path), "wb") as target:
        frames = part = 0
        while frames < seconds * 8000:
            name, utterance = QUESTIONS[part % len(QUESTIONS)]
            told = {one["id"]: one for one in json.loads((CALLS / f"{name}.json").read_text())["utterances"]}[utterance]
            with wave.open(str(CALLS / f"{name}.wav")) as source:
                if not part:
                    target.setparams(source.getparams())
                source.setpos(told["startMs"] * 8)
                length = (told["endMs"] - told["startMs"]) * 8
                spoken = source.readframes(length)
            for count in (1600, PAUSE_MS * 8):
                quiet = (noise.integers(-4, 4, (count, 2)) * 8 + 4).astype("<i2").tobytes()
                target.writeframes(quiet if count == 1600 else spoken + quiet)
            frames += length + 1600 + PAUSE_MS * 8
            part += 1
    return path


async def drained(relay: RelayProcess) -> None:
    """SIGTERM, and the process's end in good order."""
    relay.child.signal(signal.SIGTERM)
    assert await asyncio.wait_for(relay.child.wait(), 120) == 0


def outcomes(stage: Stage) -> Counter[str]:
    """What became of the relays' attempts to move calls, by their logs."""
    lines = [json.loads(line) for log in stage.folder.glob("relay*.log") for line in log.read_text().splitlines()]
    return Counter(line["outcome"] for line in lines if line.get("event") in {"call moved", "call not moved"} and "outcome" in line)


def questions(count: int) -> list[str]:
    """What is asked in such a recording, in order."""
    texts = []
    for name, utterance in QUESTIONS:
        told: list[dict[str, Any]] = json.loads((CALLS / f"{name}.json").read_text())["utterances"]
        texts.append(str(next(one["question"] for one in told if one["id"] == utterance)))
    return [texts[number % len(texts)] for number in range(count)]


def ends(count: int) -> list[float]:
    """When (seconds of such a recording) each of its first questions has been asked."""
    at, found = 0.0, []
    for part in range(count):
        name, utterance = QUESTIONS[part % len(QUESTIONS)]
        told = {one["id"]: one for one in json.loads((CALLS / f"{name}.json").read_text())["utterances"]}[utterance]
        at += 0.2 + (told["endMs"] - told["startMs"]) / 1000
        found.append(at)
        at += PAUSE_MS / 1000
    return found


def unanswered(asked: Sequence[str]) -> int:
    """How many questions of such a recording are missing among those that were answered, which are in order and none twice."""
    cycle = questions(len(QUESTIONS))
    at = missing = 0
    for question in asked:
        while cycle[at % len(cycle)] != question:
            at, missing = at + 1, missing + 1
            assert missing <= len(asked), f"{question!r} is none of the recording's"
        at += 1
    return missing


@dataclass(frozen=True)
class Heard:
    """A stretch of a track that one session heard: frames `first` to `end` of the recording, and what was filled in."""

    first: int
    end: int
    filled: int


def _frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio) - len(audio) % FRAME_BYTES, FRAME_BYTES)]


def _further(heard: Sequence[bytes], track: Sequence[bytes], at: int) -> int | None:
    """The first place behind `at` where the track says the same; what is spoken comes again only after some 20 s."""
    wanted = list(heard)
    return next((place for place in range(at + 1, len(track)) if list(track[place : place + len(wanted)]) == wanted), None)


def _stretches(heard: Sequence[bytes], track: Sequence[bytes], places: Mapping[bytes, int], gaps: bool) -> list[Heard]:
    """Where in the track a session's audio lies, in order and in one piece, or in more with `gaps`; empty: it is another call's."""
    anchor = next(((index, places[frame]) for index, frame in enumerate(heard) if frame in places), None)
    if anchor is None:
        return []
    at = first = anchor[1] - anchor[0]
    filled, found = 0, []
    for index, frame in enumerate(heard):
        if at < len(track) and frame == track[at]:
            at += 1
        elif frame == SILENT_FRAME:
            filled += 1
        elif gaps and (further := _further(heard[index : index + 5], track, at)) is not None:
            found.append(Heard(first, at, filled))
            first, filled = further, 0
            at = first + 1
        else:
            raise AssertionError(f"frame {index} of a session is not frame {at} of its track, which began at {first}")
    return [*found, Heard(first, at, filled)]


async def heard_by(
    stage: Stage,
    recordings: Sequence[Path],
    sessions: Sequence[Mapping[str, Any]],
    *,
    gaps: Collection[Path] = (),
    tracks: Collection[str] = tuple(TRACKS.values()),
) -> dict[tuple[str, str], list[Heard]]:
    """What the sessions heard of each recording's tracks, by the recording's name and the track, in order. In recordings of `gaps` a
    session may have missed some frames in between. Every session heard one of these recordings, and each was heard."""
    heard = []
    for one in sessions:
        audio = await stage.get_bytes(f"{stage.model_url}/_sim/sessions/{one['id']}/audio")
        assert hashlib.sha256(audio).hexdigest() == one["sha256"]
        heard.append((TRACKS[one["kind"]], _frames(audio)))
    result: dict[tuple[str, str], list[Heard]] = {}
    taken: set[int] = set()
    for recording in recordings:
        call = load_call(recording)
        for track, audio in (("customer", call.customer), ("agent", call.agent or b"")):
            if track not in tracks:
                continue
            frames = _frames(audio)
            counts = Counter(frames)
            places = {frame: index for index, frame in enumerate(frames) if counts[frame] == 1}
            found = {
                index: pieces
                for index, (name, own) in enumerate(heard)
                if name == track and index not in taken and (pieces := _stretches(own, frames, places, recording in gaps))
            }
            taken |= found.keys()
            stretches = sorted((one for pieces in found.values() for one in pieces), key=lambda one: (one.first, one.end))
            assert stretches, f"{recording.name}: nobody heard the {track}"
            result[recording.name, track] = stretches
    assert len(taken) == len(heard), "sessions that heard no call of these"
    return result


async def accounted(
    stage: Stage,
    recordings: Sequence[Path],
    sessions: Sequence[Mapping[str, Any]],
    *,
    missing: Counter[tuple[str, str]] | None = None,
    paused: Collection[Path] = (),
    tracks: Collection[str] = tuple(TRACKS.values()),
    calls: Collection[str] | None = None,
) -> dict[str, int]:
    """Every frame of each call's `tracks` was heard by one of its sessions, from the first to the last that any did; what was heard by
    two was counted as replayed by the relays, if they lived to tell it. Returns those by track. `missing`: counts those that nobody heard,
    by recording and track, which are allowed then; of calls that were `paused` some may be missing in any case. `calls`: the hashes of
    these calls, where the relays have had others.
    """
    again: Counter[str] = Counter()
    gaps = recordings if missing is not None else paused
    for (name, track), stretches in (await heard_by(stage, recordings, sessions, gaps=gaps, tracks=tracks)).items():
        end = stretches[0].first
        for one in stretches:
            if name in {path.name for path in gaps} and one.first > end:
                if missing is not None:
                    missing[name, track] += one.first - end
                end = one.first
            assert one.first <= end, f"{name}, {track}: frames {end} to {one.first} were heard by nobody: {stretches}"
            again[track] += end - one.first
            end = max(end, one.end)
    told = replayed(stage, calls)
    found = {track: again[track] for track in TRACKS.values()}
    assert found == told or (missing is not None and all(told[track] <= found[track] for track in told)), (
        f"what was heard twice is counted: {found}, {told}"
    )
    return found


def replayed(stage: Stage, calls: Collection[str] | None = None) -> dict[str, int]:
    """Frames that the relays say an earlier session had got, by the last log lines of their calls; of these `calls` (hashes), or all."""
    sums: Counter[str] = Counter()
    for told in log_lines(stage.folder, "relay*.log"):
        if told.get("event") == "call over" and (calls is None or told["call"] in calls):
            for track, outcomes in told["frames"].items():
                sums[track] += outcomes.get("replayed", 0)
    return {track: sums[track] for track in TRACKS.values()}


def log_lines(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """The relays' lines in these files, each once: of a log that was followed twice some are there twice."""
    found = dict.fromkeys(line for log in folder.glob(pattern) for line in log.read_text().splitlines())
    lines = []
    for line in found:
        assert not line.startswith("Traceback"), line
        with contextlib.suppress(ValueError):  # half a line, or what a node says of a container that has just gone
            lines.append(json.loads(line))
    return lines
