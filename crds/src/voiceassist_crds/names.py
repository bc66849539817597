"""Names that more than one part must agree on: paths, ports, files, Sync objects, token claims."""

from __future__ import annotations

import re
from typing import Final, NewType

CallSid = NewType("CallSid", str)
StreamSid = NewType("StreamSid", str)
Revision = NewType("Revision", str)

GROUP: Final = "voiceassist.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "voiceassists"
KIND: Final = "VoiceAssist"

CREDENTIALS_LABEL: Final = "voiceassist.dev/credentials"
"""Label, of any value, or type of the Secrets that a VoiceAssist may use."""

PUBLIC_PORT: Final = 8080
"""`/ws/{callSid}`, `/stream`, `/token`, `/callbacks/stream`, `/feedback`, `/readyz`."""
PRIVATE_PORT: Final = 9090
"""`/metrics`, `/healthz`, `/readyz`, `/status`, `/calls/{callSid}/{action}`. Never behind the Ingress."""

WS_PATH: Final = "/ws"
PROBE_PATH: Final = "/ws/probe"
STREAM_PATH: Final = "/stream"
TOKEN_PATH: Final = "/token"  # noqa: S105 - a path
CALLBACK_PATH: Final = "/callbacks/stream"
FEEDBACK_PATH: Final = "/feedback"
READY_PATH: Final = "/readyz"
"""On both ports: 200 while calls may come, else 503. The public one is for balancers."""

PROBE_HEADER: Final = "X-VoiceAssist-Probe"
PLACES_HEADER: Final = "X-VoiceAssist-Places"
"""With the operator's question for a relay's status: how many calls the other ready relays have places for, as a number."""
RELAYS_HEADER: Final = "X-VoiceAssist-Relays"
"""With the same question: private addresses (host:port, with commas between them) of the relays that answer the operator."""
LIMITS_HEADER: Final = "X-VoiceAssist-Limits"
"""With the same question: what the other relays spent of the budget, and how many calls they have (`limits_word`)."""
PEER_HEADER: Final = "X-VoiceAssist-Peer"
"""A relay's proof as version 0.1.0 knows it, which names no target."""
PEER_PROOF_HEADER: Final = "X-VoiceAssist-Peer-Proof"
"""The proof for one request to one relay; where it is there, the other header does not count."""

SECRET_AUTH_TOKEN: Final = "twilio-auth-token"  # noqa: S105 - file names, not secrets
SECRET_AUTH_TOKEN_SECONDARY: Final = "twilio-auth-token-secondary"  # noqa: S105
SECRET_API_KEY_SID: Final = "twilio-api-key-sid"  # noqa: S105
SECRET_API_KEY_SECRET: Final = "twilio-api-key-secret"  # noqa: S105
SECRET_MODEL_KEY: Final = "model-api-key"  # noqa: S105
MODEL_HEADER_FILES: Final = "model-header-"
"""Begins the names of files with headers' values; the header's name in small letters follows."""

TOKEN_PARAMETER: Final = "token"  # noqa: S105 - the custom parameter of a stream that carries our signed claims
KEY_INFO_STREAM: Final = b"voiceassist-stream"
"""HKDF info for the key that signs stream tokens; the input key is Twilio's auth token."""
KEY_INFO_PROBE: Final = b"voiceassist-probe"
KEY_INFO_PEER: Final = b"voiceassist-peer"
KEY_INFO_DOCUMENT: Final = b"voiceassist-document"
KEY_INFO_RECEIPT: Final = b"voiceassist-receipt"

CALL_SID_PATTERN: Final = r"CA[0-9a-f]{32}"
STATUS_KEY: Final = "status"
"""Key of the Map's item with the state of the assist."""

_CALL_SID = re.compile(CALL_SID_PATTERN)


def is_call_sid(text: str) -> bool:
    """Whether `text` has the shape of a Twilio call SID."""
    return _CALL_SID.fullmatch(text) is not None


def call_document(call_sid: str) -> str:
    """Sync Document with the call's state; for relays only."""
    return f"VA_CALL_{call_sid}"


def suggestions_map(call_sid: str) -> str:
    """Sync Map with the finished suggestions and the `status` item."""
    return f"VA_SUGGESTIONS_{call_sid}"


def sync_stream(call_sid: str, suffix: str) -> str:
    """Sync Stream with drafts, transcripts and status; without a suffix, the name that the original plugin knows."""
    return f"FLEX_ASSIST_{call_sid}_{suffix}" if suffix else f"FLEX_ASSIST_{call_sid}"


def stream_name(call_sid: str, generation: int) -> str:
    """Name of the forked audio stream at Twilio for one generation of a call."""
    return f"assist_{call_sid}" if generation == 1 else f"assist_{call_sid}_{generation}"


def suggestion_key(seq: int) -> str:
    """Key of a suggestion in the Map: sorts as text in the order of publishing."""
    return f"{seq:06d}"


def verdict_key(seq: int) -> str:
    """Key, in the same Map, of what became of a suggestion at its reader: the verdict, and whether it was painted."""
    return f"-{seq:06d}"


def suggestion_id(generation: int, item: str) -> str:
    """A suggestion's id: the call's generation and the model's item."""
    return f"g{generation}-{item}"


def model_header_file(name: str) -> str:
    """The file in the secrets directory that holds the value of one of the model's headers."""
    return f"{MODEL_HEADER_FILES}{name.lower()}"
