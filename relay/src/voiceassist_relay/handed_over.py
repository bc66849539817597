"""What one relay hands another of a call (pure): the conversation, the audio to be heard again, and where on the stream's clock it stopped.

Moments are told as ages, seconds before the hand-over: the two relays' clocks need not agree. Written as JSON, read leniently: what a later
version adds is passed over.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_BYTES = 4 << 20
"""Of one hand-over: 30 s of both tracks are 650 KB, and the conversation's text is bounded too."""


class HandedTurn(msgspec.Struct, omit_defaults=True):
    """A turn that is not answered yet and whose words are known."""

    item: str
    key: str
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    stopped_speaking: float | None = None
    committed: float | None = None


class HandedEntry(msgspec.Struct, omit_defaults=True):
    """An entry of the history: `source` 0 customer, 1 agent, 2 suggestion."""

    at: float
    source: int
    key: str
    text: str = ""
    stand_in: str = ""


class HandedTrack(msgspec.Struct, omit_defaults=True):
    """One track: how many sessions it had, what is open, and its latest audio, oldest first (base64 mu-law, with ages).

    The next session hears what is not older than `since`, and the last `fresh` frames, which no session got yet.
    """

    number: int = 0
    turns: list[HandedTurn] = msgspec.field(default_factory=list)
    replay_from: float | None = None
    not_before: float | None = None
    since: float = 0.0
    frames: list[str] = msgspec.field(default_factory=list)
    ages: list[float] = msgspec.field(default_factory=list)
    fresh: int = 0


class HandedModel(msgspec.Struct, omit_defaults=True):
    """What the model's side had of the call. `asked`: when responses were asked for in the last minute."""

    conversation: HandedTrack
    agent: HandedTrack | None = None
    history: list[HandedEntry] = msgspec.field(default_factory=list)
    asked: list[float] = msgspec.field(default_factory=list)


class HandedCall(msgspec.Struct, omit_defaults=True):
    """A whole call. `until_ms`: where the customer's and the agent's audio in it ends on the old stream's clock; -1: not known.
    `failed_with`: revisions with which a turn failed in it."""

    generation: int
    document: dict[str, Any]
    revision: str
    model: HandedModel
    until_ms: tuple[int, int] = (-1, -1)
    paused: bool = False
    seq: int = 0
    failed_with: list[str] = msgspec.field(default_factory=list)


class TakeRequest(msgspec.Struct, omit_defaults=True):
    """What the relay to which the next stream came asks for: the call, for this generation's stream, at its address."""

    generation: int
    stream_sid: str
    address: str


_calls = msgspec.json.Decoder(HandedCall)
_requests = msgspec.json.Decoder(TakeRequest)


def encode(message: HandedCall | TakeRequest) -> bytes:
    """As JSON."""
    return msgspec.json.encode(message)


def read_call(data: bytes) -> HandedCall | None:
    """None: it is not one."""
    try:
        return _calls.decode(data)
    except msgspec.DecodeError:
        return None


def read_request(data: bytes) -> TakeRequest | None:
    """None: it is not one."""
    try:
        return _requests.decode(data)
    except msgspec.DecodeError:
        return None
