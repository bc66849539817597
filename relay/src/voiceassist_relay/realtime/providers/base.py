"""What every provider of the Realtime protocol has in common (pure): addresses, headers, and what its models take."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote, urlencode, urlsplit

from voiceassist_crds.config import AgentQuery, AgentSession, AudioFormat, AuthHeader, Family, ModelConfig, is_loopback

_SECOND = re.compile(r"gpt-realtime-2(?!\d)")
_PROMPTED = ("gpt-transcribe", "gpt-live-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")


Headers = tuple[tuple[str, str], ...]
"""Names and values."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A websocket address and the headers that go with it; the headers hold the key and are never shown."""

    url: str
    headers: Headers = field(repr=False)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the configured models take."""

    reasoning: bool
    """`reasoning` and `parallel_tool_calls`; to send them to a model that does not take them is an error."""
    turn_detection_of_agent: bool
    """Turn detection for the agent's track; where it is refused, the client commits."""
    output_modalities_per_response: bool = True
    """`output_modalities` in `response.create`, and not only in the session."""
    out_of_band: bool = True
    """Responses beside the conversation, to audio that the request brings along: what a draft ahead of the turn's end needs."""
    audio_formats: tuple[AudioFormat, ...] = (AudioFormat.PCMU,)
    """What audio is known to be taken; the first where the configuration names none."""


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
    audio_formats: tuple[AudioFormat, ...] = (AudioFormat.PCMU, AudioFormat.PCM24K)
    known = True
    """Whether it is known what its servers do: which audio they take, and that they answer in writing."""
    agent_query = AgentQuery.INTENT
    """What the address of the agent's session names, where the configuration does not say."""

    def problem(self, model: ModelConfig) -> str | None:
        """What keeps this configuration from being used with this provider, naming the field; None if nothing does."""
        if model.url is None:
            return None if self.default_url is not None else f"url is missing; provider {model.provider} needs it"
        parts = urlsplit(model.url)
        if parts.scheme in {"http", "ws"} and not self.plain_allowed and not is_loopback(parts.hostname or ""):
            return f"url {model.url!r} is not encrypted; provider {model.provider} takes wss or https only"
        return None

    def conversation_endpoint(self, model: ModelConfig, key: str, secret_headers: Headers = ()) -> Endpoint:
        """The conversation session."""
        return self._endpoint(model, {"model": model.name}, key, secret_headers)

    def transcription_endpoint(self, model: ModelConfig, key: str, secret_headers: Headers = (), *, realtime: bool = False) -> Endpoint:
        """The agent's session. `realtime`: one that could answer and is never asked to; its address is the conversation's."""
        transcription = model.transcription
        if realtime or transcription is None:
            return self.conversation_endpoint(model, key, secret_headers)
        named = transcription.agent_query or self.agent_query
        query = {"intent": "transcription"} if named is not AgentQuery.MODEL else {}
        if named is not AgentQuery.INTENT:
            query["model"] = transcription.agent_model
        return self._endpoint(model, query, key, secret_headers)

    def agent_session(self, model: ModelConfig) -> AgentSession:
        """What kind of session the agent's words are taken from."""
        return model.transcription.agent_session if model.transcription is not None else AgentSession.TRANSCRIPTION

    def family(self, model: ModelConfig) -> Family:
        """The generation of the model that answers: as configured, or as its name tells, whatever a gateway has put before it."""
        if model.family is not None:
            return model.family
        name = model.name.rpartition("/")[2].lower()
        if _SECOND.search(name):
            return Family.SECOND
        return Family.FIRST if "gpt-realtime" in name else Family.OTHER

    def audio_format(self, model: ModelConfig) -> AudioFormat:
        """The format in force."""
        return model.audio_format or self.audio_formats[0]

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
            reasoning=self.family(model) is Family.SECOND,
            turn_detection_of_agent=agent not in {"gpt-live-transcribe", "gpt-realtime-whisper"},
            output_modalities_per_response=True,
            out_of_band=self.known or self.family(model) is not Family.OTHER,
            audio_formats=self.audio_formats,
        )

    def transcription_prompt(self, name: str) -> TranscriptionPrompt:
        """What the transcription model takes for a prompt, as far as its name tells."""
        if name == "whisper-1":
            return TranscriptionPrompt.EXAMPLE
        free = name.startswith(_PROMPTED) and not name.endswith("-diarize")
        return TranscriptionPrompt.FREE_TEXT if free else TranscriptionPrompt.NONE

    def _endpoint(self, model: ModelConfig, query: dict[str, str], key: str, secret_headers: Headers) -> Endpoint:
        header = self.key_header(model)
        ours = ((header.value, f"Bearer {key}" if header is AuthHeader.AUTHORIZATION else key),) if key else ()
        given = tuple((one.name, one.value) for one in model.headers if one.value is not None)
        return Endpoint(f"{self.address(model)}?{urlencode({**query, **model.query}, quote_via=quote)}", (*ours, *given, *secret_headers))
