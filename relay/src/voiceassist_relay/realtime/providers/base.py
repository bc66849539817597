"""What every provider of the Realtime protocol has in common (pure): addresses, headers, and what its models take."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote, urlsplit

from voiceassist_crds.config import AuthHeader, ModelConfig, is_loopback

_PROMPTED = ("gpt-transcribe", "gpt-live-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A websocket address and the headers that go with it; the headers hold the key and are never shown."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the configured models take."""

    reasoning: bool
    """`reasoning` and `parallel_tool_calls`; to send them to a model that does not take them is an error."""
    turn_detection_of_agent: bool
    """Turn detection for the agent's track; where it is refused, the client commits."""
    output_modalities_per_response: bool
    """`output_modalities` in `response.create`, and not only in the session."""


class TranscriptionPrompt(Enum):
    """What a transcription model makes of a prompt."""

    FREE_TEXT = "words about the audio"
    EXAMPLE = "text in whose style it goes on"
    NONE = "takes none, or nothing is known of it"


class Provider:
    """One provider's rules. The base has those of the protocol's author, which the others follow unless they say otherwise."""

    default_url: str | None = None
    """The address where the configuration names none; None: it must name one."""
    default_header = AuthHeader.AUTHORIZATION
    """The header for the key where the configuration names none."""
    plain_allowed = False
    """Whether an address without encryption is taken; on the same machine it always is."""

    def problem(self, model: ModelConfig) -> str | None:
        """What keeps this configuration from being used with this provider, naming the field; None if nothing does."""
        if model.url is None:
            return None if self.default_url is not None else f"url is missing; provider {model.provider} needs it"
        parts = urlsplit(model.url)
        if parts.scheme in {"http", "ws"} and not self.plain_allowed and not is_loopback(parts.hostname or ""):
            return f"url {model.url!r} is not encrypted; provider {model.provider} takes wss or https only"
        return None

    def conversation_endpoint(self, model: ModelConfig, key: str) -> Endpoint:
        """The conversation session."""
        return Endpoint(f"{self.address(model)}?model={quote(model.name, safe='')}", self._headers(model, key))

    def transcription_endpoint(self, model: ModelConfig, key: str) -> Endpoint:
        """The agent's transcription session: an intent, and no model."""
        return Endpoint(f"{self.address(model)}?intent=transcription", self._headers(model, key))

    def address(self, model: ModelConfig) -> str:
        """The websocket address without its query: bare hosts, `/v1`, `/openai` and `/openai/v1` are completed."""
        if model.url is None:
            return self.default_url or ""
        parts = urlsplit(model.url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        return f"{scheme}://{parts.netloc}{self.path(parts.path.rstrip('/'))}"

    def path(self, given: str) -> str:
        """The whole path for the one in the configuration, which has no slash at its end."""
        if given in {"", "/openai"}:
            given += "/v1"
        return f"{given}/realtime" if given.endswith("/v1") else given

    def key_header(self, model: ModelConfig) -> AuthHeader:
        """The header that carries the key."""
        return model.auth_header or self.default_header

    def capabilities(self, model: ModelConfig) -> Capabilities:
        """What the configured models take, as far as their names tell."""
        agent = model.transcription.agent_model if model.transcription is not None else ""
        return Capabilities(
            reasoning=model.name.startswith("gpt-realtime-2"),
            turn_detection_of_agent=agent not in {"gpt-live-transcribe", "gpt-realtime-whisper"},
            output_modalities_per_response=True,
        )

    def transcription_prompt(self, name: str) -> TranscriptionPrompt:
        """What the transcription model takes for a prompt, as far as its name tells."""
        if name == "whisper-1":
            return TranscriptionPrompt.EXAMPLE
        free = name.startswith(_PROMPTED) and not name.endswith("-diarize")
        return TranscriptionPrompt.FREE_TEXT if free else TranscriptionPrompt.NONE

    def _headers(self, model: ModelConfig, key: str) -> tuple[tuple[str, str], ...]:
        if not key:
            return ()
        header = self.key_header(model)
        return ((header.value, f"Bearer {key}" if header is AuthHeader.AUTHORIZATION else key),)
