"""From the resource's spec to the RelayConfig that its relays are given. Pure."""

from __future__ import annotations

import json
from typing import Any

from voiceassist_crds.config import Network, RelayConfig
from voiceassist_crds.resource import VoiceAssistSpec

DRAIN_GRACE_SECONDS = 5


def relay_config(
    namespace: str, name: str, spec: VoiceAssistSpec, instructions: str, sync_service_sid: str, network: Network | None = None
) -> RelayConfig:
    """Returns the configuration. Raises ContractError where the spec does not make a valid one."""
    model, twilio = spec.model, spec.twilio
    transcription = model.transcription
    document: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "host": spec.host,
        "pathPrefix": spec.path_prefix,
        "twilio": {
            "accountSid": twilio.account_sid,
            "syncServiceSid": sync_service_sid,
            "syncTtlSeconds": twilio.sync.ttl_seconds,
            "legacyStream": twilio.sync.legacy_stream,
            "workspaceSid": twilio.workspace_sid,
            "callProof": twilio.call_proof,
            "apiUrl": twilio.api_url,
            "region": twilio.region,
            "edge": twilio.edge,
        },
        "functions": {"allowedOrigins": twilio.functions.allowed_origins},
        "audio": {"tracks": spec.audio.tracks},
        "model": {
            "provider": model.provider,
            "url": model.url,
            "name": model.name,
            "authHeader": model.auth_header,
            "turnDetection": model.turn_detection.model_dump(by_alias=True),
            "transcription": {
                "model": transcription.model,
                "agentModel": transcription.agent_model,
                "language": transcription.language,
                "languages": transcription.languages,
                "keywords": transcription.keywords,
                "prompt": transcription.prompt,
                "delay": transcription.delay,
                "agentQuery": transcription.agent_query,
                "agentSession": transcription.agent_session,
            }
            if transcription.enabled
            else None,
            "language": None if transcription.enabled else transcription.language,
            "noiseReduction": model.noise_reduction,
            "maxOutputTokens": model.max_output_tokens,
            "reasoningEffort": model.reasoning_effort,
            "maxResponsesPerMinute": model.max_responses_per_minute,
            "truncation": model.truncation.model_dump(by_alias=True),
            "noiseReductionStrength": model.noise_reduction_strength,
            "family": model.family,
            "audioFormat": model.audio_format,
            "headers": [{"name": header.name, "value": header.value} for header in model.headers],
            "query": model.query,
            "sessionSeconds": model.session_seconds,
            "tracing": model.tracing,
            "check": model.check,
            "storedPrompt": model.stored_prompt.model_dump(by_alias=True) if model.stored_prompt is not None else None,
        },
        "prompts": [{"instructions": instructions}],
        "rollout": {"applyTo": spec.rollout.apply_to},
        "limits": {
            "maxCalls": spec.relay.max_calls_per_pod,
            "drainTimeoutSeconds": spec.relay.drain_timeout_seconds,
            "streamPingSeconds": spec.relay.stream_ping_seconds,
            "gatherMs": spec.relay.gather_ms,
            "drainGraceSeconds": DRAIN_GRACE_SECONDS,
        },
        "totalLimits": spec.limits.model_dump(mode="json", by_alias=True),
        "privacy": {"transcripts": spec.privacy.transcripts},
        "network": (network or Network()).model_dump(by_alias=True),
    }
    return RelayConfig.parse(json.dumps(document))
