"""Session settings: what a session is configured with, cut out of the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voiceassist_crds.config import ModelConfig, Prompt, RelayConfig, Tracks

from .client_events import conversation_update, transcription_update


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """One revision's settings for one call."""

    model: ModelConfig
    revision: str
    """The prompt's revision."""
    instructions: str
    agent: bool
    """Whether the agent's track is listened to."""

    @classmethod
    def of(cls, config: RelayConfig, prompt: Prompt) -> SessionSettings:
        """The settings for a call."""
        model = config.model_of(prompt)
        return cls(
            model,
            prompt.revision,
            prompt.instructions,
            config.audio.tracks is Tracks.BOTH and model.transcription is not None,
        )

    def conversation_update(self, event_id: str, before: ModelConfig | None = None) -> bytes:
        """`session.update` of the conversation session, which was told `before` last."""
        return conversation_update(self.model, self.instructions, event_id, before)

    def transcription_update(self, event_id: str, *, detection: bool, realtime: bool = False, before: ModelConfig | None = None) -> bytes:
        """`session.update` of the agent's session."""
        return transcription_update(self.model, event_id, detection=detection, realtime=realtime, before=before)
