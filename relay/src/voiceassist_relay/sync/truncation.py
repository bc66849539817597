"""Messages cut to Sync's sizes: 4 KB on the Stream, 16 KiB in the Map, counted in bytes of the JSON as it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from voiceassist_crds.messages import MAP_ITEM_BYTES, STREAM_MESSAGE_BYTES, Draft, Status, StreamMessage, Suggestion, Transcript, Withdrawn
from voiceassist_crds.names import suggestion_id

from .payload import encode, size, well_formed

CUT = "…"
"""Stands where text was left out."""
MAX_ITEM = 120
"""Characters of a model's item name that go into a message's id; longer ones are hashed."""
MAX_REVISION = 20
MAX_STATUS_TEXT = 500
QUESTION_SHARE = 8
"""When a suggestion is too long, its question is first cut to one part in this many; the answer gets the rest."""


def message_id(generation: int, item: str) -> str:
    """The id of a model's item that came in a call's generation, short whatever the model calls it."""
    name = well_formed(item)
    if len(name) > MAX_ITEM:
        name = hashlib.sha256(name.encode()).hexdigest()
    return suggestion_id(generation, name)


def stream_payload(message: StreamMessage) -> dict[str, Any]:
    """The message as it goes out on the Stream. Drafts lose their end, transcripts their beginning, suggestions say `truncated`."""
    data = message.wire()
    match message:
        case Draft():
            return _fitted(lambda text: {**data, "answer": text}, message.answer, STREAM_MESSAGE_BYTES)
        case Transcript():
            return _fitted(lambda text: {**data, "text": text}, message.text, STREAM_MESSAGE_BYTES, keep_end=True)
        case Suggestion():
            return _suggestion(data, message, STREAM_MESSAGE_BYTES, _with_transcript)
        case Status():
            return _fitted(lambda text: {**data, "message": text}, message.message, STREAM_MESSAGE_BYTES)
        case Withdrawn():
            return data


def item_payload(message: Suggestion | Status) -> dict[str, Any]:
    """The message as an item of the Map; a suggestion that had to be cut says `truncated`."""
    data = message.wire()
    if isinstance(message, Suggestion):
        return _suggestion(data, message, MAP_ITEM_BYTES, lambda whole: whole)
    return data


def _with_transcript(data: dict[str, Any]) -> dict[str, Any]:
    """With what the original plugin reads: question and answer as JSON text within the JSON."""
    return {**data, "transcript": encode({"question": data["question"], "answer": data["answer"]})}


def _suggestion(
    data: dict[str, Any], message: Suggestion, limit: int, finish: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    whole = finish(data)
    if size(whole) <= limit:
        return whole
    question = clip_to_bytes(message.question, limit // QUESTION_SHARE)
    return _fitted(lambda text: finish({**data, "question": question, "answer": text, "truncated": True}), message.answer, limit)


def _fitted(build: Callable[[str], dict[str, Any]], text: str, limit: int, *, keep_end: bool = False) -> dict[str, Any]:
    """What `build` makes of as much of `text` as fits into `limit` bytes; it must fit with no text at all."""
    whole = build(text)
    if size(whole) <= limit:
        return whole
    characters = _most(len(text) - 1, lambda count: size(build(_clipped(text, count, keep_end))) <= limit)
    return build(_clipped(text, characters, keep_end))


def clip_to_bytes(text: str, limit: int) -> str:
    """As much of the text's beginning as takes at most `limit` bytes as a JSON string, quotes included; between characters only."""
    if _json_bytes(text) <= limit:
        return text
    return _clipped(text, _most(len(text) - 1, lambda count: _json_bytes(_clipped(text, count, False)) <= limit), False)


def _json_bytes(text: str) -> int:
    return len(well_formed(json.dumps(text, ensure_ascii=False)).encode())


def _clipped(text: str, count: int, keep_end: bool) -> str:
    if keep_end:
        return CUT + text[len(text) - count :]
    return text[:count] + CUT


def _most(highest: int, fits: Callable[[int], bool]) -> int:
    """The highest count from 0 that fits, where every smaller one fits as well; 0 if none does."""
    low, high = 0, max(0, highest)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
