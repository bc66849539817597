"""A session's ears: the input buffer with turn detection, what each turn was, and its transcription. Pure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from . import faults as fault_kinds
from .behaviour import Behaviour
from .buffer import InputBuffer
from .catalog import transcription_model
from .conversation import Item
from .faults import Faults
from .formats import PCMU, format_of
from .ids import Ids
from .ledger import Ledger, Turn
from .recogniser import NOTHING, Recogniser
from .schema import Json, Refused
from .transcribing import transcription_events
from .vad import SpeechStarted, VadSettings

LEAST_COMMIT_MS = 100
_DETECTION = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
"""By what audio in an item is looked through where the session has no detection."""


class Hearing:
    """Follows the audio of one session; gives events (as dicts without event_id) and turns in the order in which they happen."""

    def __init__(self, behaviour: Behaviour, recogniser: Recogniser, ledger: Ledger, config: Json, ids: Ids) -> None:
        self._behaviour = behaviour
        self._recogniser = recogniser
        self._ledger = ledger
        self._ids = ids
        self._detection: Json | None = None
        self._speech: tuple[str, SpeechStarted] | None = None
        self._idle_from: int | None = None
        self._buffer = InputBuffer(format_of(config["audio"]["input"]["format"]), 0, keep=behaviour.keep_audio)
        self._detect(config)

    @property
    def audio(self) -> bytes:
        """All audio of the configured format, as far as it is kept."""
        return self._buffer.everything()

    @property
    def format_name(self) -> str:
        """The format in which audio is read."""
        return self._buffer.format.name

    @property
    def now_ms(self) -> int:
        """How much audio came in this session."""
        return self._buffer.now_ms

    def configure(self, config: Json) -> None:
        """The configuration has changed: another format begins another buffer, and turn detection follows its settings."""
        audio_format = format_of(config["audio"]["input"]["format"])
        if audio_format is not self._buffer.format:
            self._ledger.new_format()
            self._buffer = InputBuffer(audio_format, self._buffer.now_ms, keep=self._behaviour.keep_audio)
            self._speech = None
        self._detect(config)

    def _detect(self, config: Json) -> None:
        self._detection = detection = config["audio"]["input"]["turn_detection"]
        self._buffer.detect(None if detection is None else vad_settings(detection, self._behaviour))
        if detection is None:
            self._speech = None

    def append(self, audio: bytes, now_wall_ms: float) -> Iterator[Json | Turn]:
        """Take audio."""
        self._ledger.heard(audio, updated=self._ledger.updates > 0)
        for signal in self._buffer.append(audio):
            if isinstance(signal, SpeechStarted):
                self._idle_from = None
                self._speech = (self._ids.new("item"), signal)
                yield {"type": "input_audio_buffer.speech_started", "audio_start_ms": signal.at_ms, "item_id": self._speech[0]}
            elif self._speech is not None:
                item, started = self._speech
                self._speech = None
                yield {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": signal.at_ms, "item_id": item}
                yield self._turn(item, started.at_ms, signal.at_ms, started.loud_ms, signal.spoken_ms, "vad", now_wall_ms)
        idle = (self._detection or {}).get("idle_timeout_ms")
        if idle is not None and self._idle_from is not None and self._buffer.now_ms - self._idle_from >= idle:
            start, end, item = self._idle_from, self._buffer.now_ms, self._ids.new("item")
            self._idle_from = None
            yield {"type": "input_audio_buffer.timeout_triggered", "audio_start_ms": start, "audio_end_ms": end, "item_id": item}
            yield self._turn(item, start, end, start, start, "idle", now_wall_ms)
        self._buffer.forget(self._buffer.open_ms if self._speech is None else self._speech[1].at_ms)

    def commit(self, now_wall_ms: float) -> Turn:
        """The client commits what is in the buffer.

        Raises:
            Refused: less than 100 ms.
        """
        length = self._buffer.uncommitted_ms
        if length < LEAST_COMMIT_MS:
            raise Refused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {max(0.0, length):.2f}ms of audio.",
            )
        now = self._buffer.now_ms
        speech, self._speech = self._speech, None
        if speech is not None:
            spoken = self._buffer.spoken_until_ms
            return self._turn(speech[0], speech[1].at_ms, now, speech[1].loud_ms, spoken, "client", now_wall_ms)
        start = self._buffer.open_ms
        return self._turn(self._ids.new("item"), start, now, start, now, "client", now_wall_ms)

    def clear(self) -> None:
        """The client throws away what is in the buffer."""
        self._ledger.cleared += 1
        self._speech = None
        self._buffer.cut(self._buffer.now_ms)

    def busy(self) -> None:
        """A response begins: idleness ends."""
        self._idle_from = None

    def idle_from_here(self) -> None:
        """A response is over: idleness counts from here, unless someone speaks."""
        if self._speech is None:
            self._idle_from = self._buffer.now_ms

    def _turn(self, item: str, start: int, end: int, loud: int, spoken: int, by: str, now_wall_ms: float) -> Turn:
        buffer = self._buffer
        audio = buffer.audio(start, end)
        turn = Turn(
            item=item,
            start_ms=start,
            end_ms=end,
            loud_ms=loud,
            spoken_ms=spoken,
            committed_by=by,
            committed_at_ms=now_wall_ms,
            size=len(audio),
            sha256=hashlib.sha256(audio).hexdigest(),
            loudness=buffer.format.loudness(buffer.audio(loud, spoken)),
            heard=self._recogniser.hear(audio, buffer.borders(start, end)) if buffer.format is PCMU else NOTHING,
        )
        if turn.heard.matches:
            known = [match.utterance for match in turn.heard.matches]
            turn.recognised = next((one.id for one in reversed(known) if one.relevant), known[-1].id)
        buffer.cut(end)
        self._ledger.turns.append(turn)
        return turn

    def listen(self, item: Item) -> None:
        """The client gave audio in an item: it is heard as a turn is, though nothing is committed or detected by it."""
        buffer = InputBuffer(self._buffer.format, 0, keep=True)
        buffer.detect(vad_settings(self._detection or _DETECTION, self._behaviour))
        signals = list(buffer.append(item.audio))
        started = next((signal for signal in signals if isinstance(signal, SpeechStarted)), None)
        loud, spoken = (0, 0) if started is None else (started.loud_ms, buffer.spoken_until_ms)
        item.heard = Turn(
            item=item.id,
            start_ms=0,
            end_ms=buffer.now_ms,
            loud_ms=loud,
            spoken_ms=spoken,
            committed_by="item",
            committed_at_ms=0.0,
            size=len(item.audio),
            sha256=hashlib.sha256(item.audio).hexdigest(),
            loudness=buffer.format.loudness(buffer.audio(loud, spoken)),
            heard=self._recogniser.hear(item.audio, buffer.borders(0, buffer.now_ms)) if buffer.format is PCMU else NOTHING,
        )

    def item_of(self, turn: Turn) -> Item:
        """The conversation's item of a turn."""
        data: Json = {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
        audio = self._buffer.audio(turn.start_ms, turn.end_ms) if self._behaviour.keep_audio else b""
        return Item(turn.item, data, turn=turn, audio=audio, audio_ms=turn.end_ms - turn.start_ms)

    def transcription(
        self, turn: Turn, config: Json, faults: Faults, rng: random.Random, session_kind: str, session_id: str
    ) -> list[tuple[int, Json]]:
        """The events of a turn's transcription with their waits; none if none is configured."""
        wanted: Json | None = config["audio"]["input"]["transcription"]
        if wanted is None or turn.committed_by == "idle":
            return []
        deployments = self._behaviour.deployments
        failed = None
        if deployments and wanted["model"] not in deployments:
            failed = f"The transcription deployment '{wanted['model']}' does not exist."
        if faults.hit(fault_kinds.TRANSCRIPTION, session_kind, rng, session_id=session_id):
            failed = "The server had an error while transcribing the audio."
        return transcription_events(
            turn,
            wanted,
            transcription_model(wanted["model"], deployments),
            self._behaviour,
            rng,
            logprobs=bool(config.get("include")),
            failed=failed,
        )


def vad_settings(detection: Json, behaviour: Behaviour) -> VadSettings:
    """Energy settings for a configuration of turn detection; semantic_vad is approximated by a longer silence."""
    if detection["type"] == "semantic_vad":
        silence = behaviour.semantic_silence_ms.get(detection.get("eagerness") or "auto", 1200)
        return VadSettings(behaviour.quiet_dbfs + behaviour.loudness_span_db * 0.5, 300, silence)
    return VadSettings(
        level_dbfs=behaviour.quiet_dbfs + behaviour.loudness_span_db * detection["threshold"],
        prefix_padding_ms=detection["prefix_padding_ms"],
        silence_duration_ms=detection["silence_duration_ms"],
    )
