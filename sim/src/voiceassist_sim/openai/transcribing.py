"""The transcription of a turn: its text, and its events with the wait before each. Pure."""

from __future__ import annotations

import random
from typing import Any

from .behaviour import Behaviour
from .catalog import TranscriptionModel
from .ledger import Turn
from .recogniser import Match
from .schema import Json
from .tokens import audio_tokens, text_tokens

_DEFAULT = TranscriptionModel("")
_TYPE = "conversation.item.input_audio_transcription"


def transcript_of(turn: Turn) -> str:
    """What was said: the known words (of an utterance that is cut, the share of its words that was heard), else length and loudness."""
    if turn.heard.matches:
        return " ".join(words for match in turn.heard.matches if (words := _words(match)))
    if turn.loudness < -60 or not turn.spoken_length_ms:
        return ""
    return f"[{turn.spoken_length_ms} ms of unknown audio at {turn.loudness:.1f} dBFS]"


def _words(match: Match) -> str:
    words = match.utterance.text.split()
    size = len(match.utterance.audio)
    first = round(len(words) * match.cut_head / size)
    last = round(len(words) * (size - match.cut_tail) / size)
    return " ".join(words[first:last])


def transcription_events(
    turn: Turn,
    config: Json,
    model: TranscriptionModel | None,
    behaviour: Behaviour,
    rng: random.Random,
    *,
    logprobs: bool,
    failed: str | None = None,
) -> list[tuple[int, Json]]:
    """The events of one turn's transcription, each with the milliseconds to wait before it.

    Args:
        turn: what was heard.
        config: the session's ``audio.input.transcription``.
        model: what is known of its model; None for a deployment of an unknown one.
        behaviour: delays.
        rng: cuts the text into deltas.
        logprobs: whether the session includes log probabilities.
        failed: the message of an error in place of a transcript.
    """
    place: Json = {"item_id": turn.item, "content_index": 0}
    if failed is not None:
        error = {"type": "server_error", "code": "server_error", "message": failed, "param": None}
        return [(behaviour.transcription_delay_ms, {"type": f"{_TYPE}.failed", **place, "error": error})]
    model = model or _DEFAULT
    text = transcript_of(turn)
    pieces = _pieces(text, rng) if model.streams else ([text] if text else [])
    events: list[tuple[int, Json]] = []
    for index, piece in enumerate(pieces):
        wait = behaviour.transcription_delta_ms if index else behaviour.transcription_delay_ms
        event: Json = {"type": f"{_TYPE}.delta", **place, "delta": piece}
        if logprobs:
            event["logprobs"] = [_logprob(piece)]
        events.append((wait, event))
    if model.name.endswith("-diarize") and text:
        end = (turn.end_ms - turn.start_ms) / 1000
        segment = {"type": f"{_TYPE}.segment", **place, "id": f"seg_{turn.item}", "text": text, "speaker": "A", "start": 0.0, "end": end}
        events.append((0, segment))
    spoken = audio_tokens(turn.end_ms - turn.start_ms)
    words = text_tokens(text)
    usage: Json = {"type": "duration", "seconds": round((turn.end_ms - turn.start_ms) / 1000, 3)}
    if model.usage_in_tokens:
        usage = {
            "type": "tokens",
            "total_tokens": spoken + words,
            "input_tokens": spoken,
            "input_token_details": {"text_tokens": 0, "audio_tokens": spoken},
            "output_tokens": words,
        }
    done: Json = {"type": f"{_TYPE}.completed", **place, "transcript": text, "usage": usage}
    if model.name == "gpt-transcribe":
        done["languages"] = [{"code": _language(config)}]
    if logprobs:
        done["logprobs"] = [_logprob(piece) for piece in pieces]
    events.append((behaviour.transcription_delta_ms if pieces else behaviour.transcription_delay_ms, done))
    return events


def _language(config: Json) -> str:
    languages: Any = config.get("languages") or [config.get("language") or "en"]
    return str(languages[0])


def _logprob(piece: str) -> Json:
    return {"token": piece, "logprob": -0.01, "bytes": list(piece.encode())}


def _pieces(text: str, rng: random.Random) -> list[str]:
    """Cut a text before words, one to three words a piece."""
    words = text.split(" ") if text else []
    pieces: list[str] = []
    at = 0
    while at < len(words):
        size = rng.randint(1, 3)
        pieces.append(("" if at == 0 else " ") + " ".join(words[at : at + size]))
        at += size
    return pieces
