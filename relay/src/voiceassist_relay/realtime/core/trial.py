"""Trial (pure): a short conversation that shows what a server makes of our audio and what it answers. No word of it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from voiceassist_crds.config import AudioFormat, ModelConfig

from .client_events import buffer_commit, response_create
from .failures import HARMLESS_CODES
from .server_events import ErrorInfo, Item, ServerEvent

_SHORT: Final = 0.7
"""Share of the phrase below which a server has taken its audio for another format: mu-law read as PCM of 16 kHz is a quarter of it."""
_LONG: Final = 1.2
"""Share of all audio sent above which it has."""
_SURPLUS_MS: Final = 300.0


@dataclass(slots=True)
class Found:
    """What a server did."""

    audio_format: AudioFormat
    heard_ms: float | None = None
    """The end of the phrase by its count; None: it did not find one."""
    share: float = 1.0
    """What it counted of the audio that it was sent."""
    misread: bool = False
    speech: bool = False
    """Whether it heard speech begin."""
    turn: bool = False
    """Whether it found the end of the turn by itself."""
    tool: bool = False
    """Whether it called the tool."""
    text: bool = False
    """Whether it answered in writing."""
    spoken: bool = False
    """Whether it spoke although text was asked for; what it said can be read."""
    transcribed: bool = False
    """Whether it wrote down what it heard."""
    first_output: float | None = None
    """Seconds from the request to the first piece of the answer."""
    error: ErrorInfo | None = None
    """The server's latest error, or why the response failed."""
    closed: tuple[int | None, str] | None = None
    """Code and reason with which the server closed before its answer was there."""
    over: bool = False
    """Whether the response has ended."""
    tokens: list[tuple[str, str, bool, int]] = field(default_factory=list)
    """What the response took, as `Usage.counts` has it."""

    @property
    def answered(self) -> bool:
        """Whether anything came back that can become a suggestion."""
        return self.tool or self.text or self.spoken

    @property
    def well(self) -> bool:
        """Whether suggestions can be expected of this server with this format."""
        return self.answered and not self.misread

    def told(self) -> str:
        """One line."""
        if self.misread:
            return f"{self.audio_format}: it counts {self.share:.0%} of the audio that it is sent, and so hears noise"
        how = [what for what, so in (("a tool call", self.tool), ("text", self.text), ("speech that is read as text", self.spoken)) if so]
        parts = [
            f"answers with {' and '.join(how)}" if how else "answers nothing that can be read",
            "ends turns by itself" if self.turn else "did not end the turn by itself" if self.speech else "hears no speech in it",
            "writes down what it hears" if self.transcribed else "wrote nothing down",
        ]
        if self.first_output is not None:
            parts.append(f"first piece of the answer after {self.first_output * 1000:.0f} ms")
        return f"{self.audio_format}: {', '.join(parts)}"


class Trial:
    """One conversation in a session that stands. Give it what the server says; send what it returns."""

    def __init__(self, model: ModelConfig, form: AudioFormat, phrase_ms: float) -> None:
        """`phrase_ms`: how long the phrase is, without the silence behind it."""
        self.found = Found(form)
        self.sent_ms = 0.0
        """Milliseconds of audio sent so far."""
        self._model, self._phrase_ms = model, phrase_ms
        self._asked_at: float | None = None
        self._commits = False

    def received(self, event: ServerEvent, now: float) -> list[bytes]:
        """`now` in seconds."""
        found = self.found
        match event.type:
            case "error" if event.error is not None and event.error.code not in HARMLESS_CODES:
                found.error = event.error
            case "input_audio_buffer.speech_started":
                found.speech = True
            case "input_audio_buffer.speech_stopped":
                self._counted(event.audio_end_ms)
            case "input_audio_buffer.committed" if self._asked_at is None:
                self._asked_at, self.found.turn = now, not self._commits
                return [response_create(self._model, "trial_response", event.item_id or "trial")]
            case "conversation.item.input_audio_transcription.completed":
                found.transcribed = bool((event.transcript or "").strip())
            case (
                "response.function_call_arguments.delta"
                | "response.output_text.delta"
                | "response.output_audio_transcript.delta"
                | "response.output_item.added"
            ):
                self._first(now)
            case "response.output_item.done" if event.item is not None:
                self._item_done(event.item)
            case "response.done":
                response = event.response
                for item in (response.output if response is not None else None) or ():
                    self._item_done(item)
                if response is not None and response.status_details is not None:
                    found.error = response.status_details.error
                if response is not None and response.usage is not None:
                    found.tokens = response.usage.counts()
                found.over = True
        return []

    @property
    def asked(self) -> bool:
        """Whether the response was asked for."""
        return self._asked_at is not None

    def silent(self) -> list[bytes]:
        """The server did not find the turn's end in time: we end it."""
        if self.asked:
            return []
        self._commits = True
        return [buffer_commit("trial_commit")]

    def _counted(self, heard_ms: float | None) -> None:
        if heard_ms is None or heard_ms <= 0:
            return
        found = self.found
        found.heard_ms = heard_ms
        if heard_ms > self.sent_ms * _LONG + _SURPLUS_MS:
            found.misread, found.share = True, heard_ms / max(self.sent_ms, 1.0)
        elif heard_ms < self._phrase_ms * _SHORT:
            found.misread, found.share = True, heard_ms / self._phrase_ms

    def _first(self, now: float) -> None:
        if self.found.first_output is None and self._asked_at is not None:
            self.found.first_output = now - self._asked_at

    def _item_done(self, item: Item) -> None:
        found = self.found
        if item.type == "function_call":
            found.tool = found.tool or bool(item.arguments)
        elif item.type == "message":
            kinds = {part.type for part in item.content or () if (part.text or part.transcript or "").strip()}
            found.text = found.text or bool(kinds & {"output_text", "text"})
            found.spoken = found.spoken or bool(kinds & {"output_audio", "audio"})
