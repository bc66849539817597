"""What is known of each model: which exist, which reason, which transcribe, and what their sessions may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Model:
    """A conversation model."""

    name: str
    reasoning: bool
    """Whether it takes ``reasoning`` and ``parallel_tool_calls``."""
    context_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class TranscriptionModel:
    """A model for input transcription."""

    name: str
    turn_detection: bool = True
    """Whether a session with it may have turn detection."""
    hints: bool = False
    """Whether it takes ``languages`` and ``keywords``."""
    delay: bool = False
    prompt: bool = True
    streams: bool = True
    """Whether its text comes in several deltas (else in one)."""
    usage_in_tokens: bool = True
    """Whether its usage counts tokens (else seconds)."""


def _old(name: str) -> Model:
    return Model(name, reasoning=False, context_tokens=32_000, output_tokens=4_096)


def _new(name: str) -> Model:
    return Model(name, reasoning=True, context_tokens=128_000, output_tokens=32_000)


MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        *map(_new, ("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2")),
        *map(
            _old,
            (
                "gpt-realtime-1.5",
                "gpt-realtime",
                "gpt-realtime-2025-08-28",
                "gpt-realtime-mini",
                "gpt-realtime-mini-2025-10-06",
                "gpt-realtime-mini-2025-12-15",
            ),
        ),
    )
}
DEFAULT_MODEL: Final = MODELS["gpt-realtime-2.1-mini"]

TRANSCRIPTION_MODELS: Final[dict[str, TranscriptionModel]] = {
    model.name: model
    for model in (
        TranscriptionModel("gpt-live-transcribe", turn_detection=False, hints=True),
        TranscriptionModel("gpt-realtime-whisper", turn_detection=False, delay=True, prompt=False),
        TranscriptionModel("gpt-transcribe", hints=True),
        TranscriptionModel("whisper-1", streams=False, usage_in_tokens=False),
        TranscriptionModel("gpt-4o-transcribe"),
        TranscriptionModel("gpt-4o-mini-transcribe"),
        TranscriptionModel("gpt-4o-mini-transcribe-2025-12-15"),
        TranscriptionModel("gpt-4o-transcribe-diarize", prompt=False),
    )
}


def conversation_model(name: str, deployments: dict[str, str]) -> Model | None:
    """The model of that name, or of the Azure deployment of that name; None if there is none."""
    return MODELS.get(deployments.get(name, name))


def transcription_model(name: str, deployments: dict[str, str]) -> TranscriptionModel | None:
    """The transcription model of that name or deployment; None if there is none."""
    return TRANSCRIPTION_MODELS.get(deployments.get(name, name))
