"""What a session heard, answered and refused, for reports. Times called ``…AtMs`` are wall-clock milliseconds since 1970."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .recogniser import NOTHING, Heard

Json = dict[str, Any]
MAX_ERRORS = 200
"""Errors kept per session; later ones are only counted."""


@dataclass(slots=True)
class Turn:
    """One commit of the input buffer."""

    item: str
    start_ms: int
    end_ms: int
    """In milliseconds of audio, as in the events."""
    loud_ms: int
    """Begin of the first loud stretch (the begin of the turn where the client committed without turn detection)."""
    spoken_ms: int
    """End of the last loud stretch (the end of the turn where the client committed)."""
    committed_by: str
    """``vad``, ``client`` or ``idle``."""
    committed_at_ms: float
    size: int
    """Bytes of the turn."""
    sha256: str
    loudness: float
    """dBFS of the turn without its padding and final silence."""
    heard: Heard = NOTHING
    recognised: str | None = None
    """Id of the utterance that the answer is about: the last relevant one in the turn, else the last one."""
    transcript: str | None = None
    responses: list[str] = field(default_factory=list)
    """Ids of the responses that took it into account."""

    @property
    def spoken_length_ms(self) -> int:
        """Length of the audio of which an answer to unknown audio speaks."""
        return max(0, self.spoken_ms - self.loud_ms)

    def to_json(self) -> Json:
        """For a report."""
        matches = self.heard.matches
        return {
            "item": self.item,
            "startMs": self.start_ms,
            "endMs": self.end_ms,
            "loudMs": self.loud_ms,
            "spokenMs": self.spoken_ms,
            "committedBy": self.committed_by,
            "committedAtMs": self.committed_at_ms,
            "bytes": self.size,
            "sha256": self.sha256,
            "dbfs": round(self.loudness, 1),
            "recognised": self.recognised,
            "exact": self.heard.exact,
            "missing": sum(match.missing for match in matches),
            "doubled": sum(match.doubled for match in matches),
            "disordered": sum(match.disordered for match in matches),
            "insertedSilence": self.heard.inserted_silence,
            "foreign": self.heard.foreign,
            "utterances": [
                {
                    "id": match.utterance.id,
                    "heard": match.heard,
                    "missing": match.missing,
                    "doubled": match.doubled,
                    "disordered": match.disordered,
                    "cutHead": match.cut_head,
                    "cutTail": match.cut_tail,
                    "exact": match.exact,
                }
                for match in matches
            ],
            "transcript": self.transcript,
            "responses": self.responses,
        }


@dataclass(slots=True)
class Response:
    """One response: what it was asked with, what it said, and how long the model (not the client) took."""

    id: str
    trigger: str
    """``client``, ``turn`` or ``idle``."""
    requested_at_ms: float
    out_of_band: bool
    metadata: dict[str, str] | None
    event_id: str | None
    turns: list[str]
    """Items of audio that it answers."""
    input_items: list[str]
    """Items that were its context, after truncation."""
    instructions_chars: int
    instructions_sha256: str
    first_token_ms: int
    delta_ms: int
    status: str = "in_progress"
    reason: str | None = None
    error: str | None = None
    text: str = ""
    arguments: str = ""
    output_items: list[str] = field(default_factory=list)
    """Ids of the items that it wrote."""
    deltas: int = 0
    dropped_items: int = 0
    """Items left out by truncation."""
    usage: Json | None = None
    first_delta_at_ms: float | None = None
    done_at_ms: float | None = None

    def to_json(self) -> Json:
        """For a report; ``modelMs`` is the time from request to done, all of it the stand-in's own."""
        return {
            "id": self.id,
            "trigger": self.trigger,
            "eventId": self.event_id,
            "outOfBand": self.out_of_band,
            "metadata": self.metadata,
            "turns": self.turns,
            "inputItems": self.input_items,
            "outputItems": self.output_items,
            "droppedItems": self.dropped_items,
            "instructionsChars": self.instructions_chars,
            "instructionsSha256": self.instructions_sha256,
            "firstTokenMs": self.first_token_ms,
            "deltaMs": self.delta_ms,
            "deltas": self.deltas,
            "status": self.status,
            "reason": self.reason,
            "error": self.error,
            "text": self.text,
            "arguments": self.arguments,
            "usage": self.usage,
            "requestedAtMs": self.requested_at_ms,
            "firstDeltaAtMs": self.first_delta_at_ms,
            "doneAtMs": self.done_at_ms,
            "modelMs": None if self.done_at_ms is None else round(self.done_at_ms - self.requested_at_ms, 3),
        }


@dataclass(slots=True)
class Ledger:
    """The counts and records of one session."""

    appends: int = 0
    bytes_heard: int = 0
    """Audio bytes in the format that is configured now."""
    before_update: int = 0
    """Audio bytes that came before the first session.updated and so were read in the default format: misinterpreted."""
    other_format: int = 0
    """Audio bytes that came in a format configured earlier."""
    cleared: int = 0
    """``input_audio_buffer.clear`` events."""
    turns: list[Turn] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)
    error_count: int = 0
    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    """Accepted session.update events."""
    pings: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def heard(self, audio: bytes, *, updated: bool) -> None:
        """One append of audio in the format that is configured now."""
        self.appends += 1
        self.bytes_heard += len(audio)
        if not updated:
            self.before_update += len(audio)
        self._hash.update(audio)

    def new_format(self) -> None:
        """From here on audio has another format; hash and count begin again."""
        self.other_format += self.bytes_heard
        self.bytes_heard = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Over all bytes that :attr:`bytes_heard` counts, in the order in which they came."""
        return str(self._hash.hexdigest())

    def refused(self, error: Json) -> None:
        """One ``error`` event that was sent."""
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)

    def turn(self, item: str) -> Turn | None:
        """The turn whose item has that id."""
        return next((turn for turn in self.turns if turn.item == item), None)

    def to_json(self) -> Json:
        """For a report."""
        return {
            "appends": self.appends,
            "bytesHeard": self.bytes_heard,
            "sha256": self.sha256,
            "misinterpretedBytes": self.before_update,
            "otherFormatBytes": self.other_format,
            "clears": self.cleared,
            "updates": self.updates,
            "turns": [turn.to_json() for turn in self.turns],
            "responses": [response.to_json() for response in self.responses],
            "errors": self.errors,
            "errorCount": self.error_count,
            "received": dict(self.received),
            "sent": dict(self.sent),
            "pings": self.pings,
        }
