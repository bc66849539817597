"""Reads the sample calls: which utterances there are, how each sounds as mu-law, and what can be suggested to the agent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from voiceassist_sim.audio import AudioError, load_call


def default_calls() -> Path:
    """``examples/calls`` of the source tree that this file lies in (it need not exist)."""
    return Path(__file__).resolve().parents[4] / "examples" / "calls"


class CallsError(ValueError):
    """A sample call cannot be used; the text is one line that names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech of a sample call."""

    id: str
    """``<call>/<id in the JSON>``, for example ``lost-parcel/c2``."""
    call: str
    speaker: str
    """``customer`` or ``agent``."""
    start_ms: int
    end_ms: int
    text: str
    relevant: bool
    question: str
    answer: str
    audio: bytes
    """The mu-law bytes between start and end."""


@dataclass(frozen=True, slots=True)
class SampleCall:
    """One sample call: its name (the file's, without ending), title and utterances in the order of time."""

    name: str
    title: str
    utterances: tuple[Utterance, ...]


_FIELDS: Final[dict[str, type]] = {
    "id": str,
    "speaker": str,
    "startMs": int,
    "endMs": int,
    "text": str,
    "relevant": bool,
    "question": str,
    "answer": str,
}


def load_sample_call(path: Path) -> SampleCall:
    """Read one ``<name>.json`` and the ``<name>.wav`` beside it.

    Raises:
        CallsError: the JSON or the recording does not fit.
    """
    stamps = tuple(each.stat().st_mtime_ns if each.exists() else 0 for each in (path, path.with_suffix(".wav")))
    return _load(path, stamps)


@lru_cache(maxsize=32)
def _load(path: Path, _stamps: tuple[int, ...]) -> SampleCall:
    try:
        script: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CallsError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(script, dict) or not isinstance(script.get("utterances"), list):
        raise CallsError(f"{path}: an object with the list 'utterances' is expected")
    try:
        recording = load_call(path.with_suffix(".wav"))
    except AudioError as error:
        raise CallsError(str(error)) from error
    utterances = []
    for index, entry in enumerate(script["utterances"]):
        for name, kind in _FIELDS.items():
            if not isinstance(entry, dict) or type(entry.get(name)) is not kind:
                raise CallsError(f"{path}: utterances[{index}].{name} must be given as {kind.__name__}")
        track = recording.customer if entry["speaker"] == "customer" else recording.agent
        if track is None or entry["speaker"] not in ("customer", "agent"):
            raise CallsError(f"{path}: utterances[{index}].speaker {entry['speaker']!r} has no track in the recording")
        audio = track[entry["startMs"] * 8 : entry["endMs"] * 8]
        if not 0 <= entry["startMs"] < entry["endMs"] or len(audio) < (entry["endMs"] - entry["startMs"]) * 8:
            raise CallsError(f"{path}: utterances[{index}] lies outside the recording")
        utterances.append(
            Utterance(
                id=f"{path.stem}/{entry['id']}",
                call=path.stem,
                speaker=entry["speaker"],
                start_ms=entry["startMs"],
                end_ms=entry["endMs"],
                text=entry["text"],
                relevant=entry["relevant"],
                question=entry["question"],
                answer=entry["answer"],
                audio=audio,
            )
        )
    return SampleCall(path.stem, str(script.get("title", path.stem)), tuple(utterances))


def load_sample_calls(folder: Path | None = None) -> list[SampleCall]:
    """Read all sample calls of a folder (default: :func:`default_calls`), by name; none if the folder does not exist.

    Raises:
        CallsError: one of them does not fit.
    """
    folder = default_calls() if folder is None else folder
    return [load_sample_call(path) for path in sorted(folder.glob("*.json")) if path.with_suffix(".wav").exists()]
