"""What a stream does otherwise than in the good case: readings of what Twilio leaves open, and faults for tests.

A `StreamFaults` may be shared by many streams and changed while they run: a stream looks at it before every frame and keeps what
it has already done to itself, so that one setting acts once per stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

SignatureFault = Literal["true", "none", "wrong", "other_url", "https"]

_SETS: Final = frozenset({"skip", "duplicate", "swap", "garbage_at", "binary_at", "oversize_at"})
_WHOLE: Final = frozenset(
    {"frame_bytes", "send_buffer_bytes", "unknown_events_every", "oversize_bytes", "fragments", "media_before_start"}  # at least 0
)
_MILLISECONDS: Final = frozenset({"start_delay_ms", "ping_every_ms", "cut_at_ms", "half_open_at_ms", "close_wait_ms"})
_MAPPINGS: Final = frozenset({"start_fields", "parameters"})
_TEXTS: Final = frozenset({"signature_url", "signature_header", "query"})
_OPTIONAL: Final = frozenset({"cut_at_ms", "half_open_at_ms", "second_start_at", *_TEXTS})


@dataclass
class StreamFaults:
    """Readings and faults of a stream; a new one is the good case.

    "Media number n" counts the media messages of one stream from 1, over all its tracks, in the order in which they were made.
    Times in ``_ms`` are milliseconds since the websocket opened.
    """

    # Readings: what Twilio's pages leave open. The default is the strict one.
    shared_chunk: bool = False
    """``media.chunk`` counts over both tracks instead of per track."""
    silent_gaps: bool = False
    """No frames while a track is silent, and none after the end of the recording; otherwise silence is sent as audio."""
    frame_bytes: int = 160
    """Bytes of mu-law in a media message; 160 are 20 ms."""
    close_at_stop: bool = False
    """Twilio closes the websocket right after ``stop``; otherwise it waits for the server to do so (``close_wait_ms``)."""
    close_wait_ms: float = 5000
    """How long the server's close is waited for after ``stop``; then Twilio closes."""
    stopped_after_error: bool = False
    """``stream-stopped`` follows a ``stream-error``."""
    error_text: bool = False
    """``StreamError`` is a sentence instead of a number."""
    drop_query: bool = False
    """A query string is left off the upgrade instead of failing the stream (the signature is over the whole address)."""
    send_buffer_bytes: int = 256 * 1024
    """Unsent bytes at which audio is thrown away (31930); about 6.5 s of both tracks."""

    # The upgrade.
    signature: SignatureFault = "true"
    """``none``: no header; ``wrong``: another key; ``other_url``: another call's address; ``https``: https:// for wss://."""
    signature_url: str | None = None
    """Sign this address instead."""
    signature_header: str | None = None
    """Send this as the signature, whatever it is."""
    query: str | None = None
    """A query string added to the request line; the signature is over the address without it."""

    # The opening.
    no_connected: bool = False
    no_start: bool = False
    """Silent after ``connected`` (until this is set to false again)."""
    start_delay_ms: float = 0
    start_fields: Mapping[str, Any] = field(default_factory=dict)
    """Values for members of ``start`` (``callSid``, ``accountSid``, ``mediaFormat``...); ``None`` leaves the member out."""
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    """Values for custom parameters; ``None`` leaves the parameter out."""
    media_before_start: int = 0
    """So many media messages come before ``start``."""
    second_start_at: int | None = None
    """After this media number ``start`` comes again."""

    # The media.
    skip: frozenset[int] = frozenset()
    """Media numbers that are made and not sent: a gap in the sequence."""
    duplicate: frozenset[int] = frozenset()
    """Media numbers that are sent twice, word for word."""
    swap: frozenset[int] = frozenset()
    """Media numbers that are sent after the one that follows."""
    payload_lengths: tuple[int, ...] = ()
    """Payload lengths in bytes, used in turn instead of ``frame_bytes``; their time is kept (8 bytes a millisecond)."""
    flood: float = 1.0
    """Times real time."""
    unknown_events_every: int = 0
    """After every so many media messages: a ``dtmf``, a ``mark`` and an event that nobody knows; 0 is never."""
    unknown_fields: bool = False
    """Members that nobody knows in every message."""
    garbage_at: frozenset[int] = frozenset()
    """After these media numbers: a text frame that is not JSON."""
    binary_at: frozenset[int] = frozenset()
    """After these media numbers: a binary frame."""
    oversize_at: frozenset[int] = frozenset()
    """After these media numbers: a media message of ``oversize_bytes`` or a little more."""
    oversize_bytes: int = 70_000
    fragments: int = 1
    """Websocket frames per text message."""
    ping_every_ms: float = 0

    # The end.
    cut_now: bool = False
    """The TCP connection is reset, as when a host dies."""
    cut_at_ms: float | None = None
    half_open_now: bool = False
    """Nothing is sent, read or closed any more, as when a cable is cut."""
    half_open_at_ms: float | None = None
    no_stop: bool = False
    """The websocket is closed without ``stop``."""
    no_callbacks: bool = False
    """Status callbacks get lost."""

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set fields from JSON: lists become sets. Nothing changes unless every field is known and fits.

        Raises:
            ValueError: a field is unknown or its value does not fit; the text says which and what fits.
        """
        checked = {name: _check(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StreamFaults:
        """Faults from JSON; `update` says which values fit."""
        faults = cls()
        faults.update(values)
        return faults

    def to_json(self) -> dict[str, Any]:
        """Every field as JSON; `from_json` reads it."""
        out: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            out[each.name] = sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value
        return out


_NAMES: Final = frozenset(each.name for each in fields(StreamFaults))


def _check(name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise ValueError(f"there is no stream fault {name!r}; known are {', '.join(sorted(_NAMES))}")
    if value is None and name in _OPTIONAL:
        return None
    if name == "signature":
        return _fits(name, value, value in get_args(SignatureFault), f"one of {', '.join(get_args(SignatureFault))}")
    if name in _SETS:
        return frozenset(_numbers(name, value, least=1))
    if name == "payload_lengths":
        lengths = tuple(_numbers(name, value, least=0))
        return _fits(name, lengths, not lengths or any(lengths), "a list with a length above 0")
    if name in _MAPPINGS:
        return _fits(name, value, isinstance(value, Mapping), "an object")
    if name in _TEXTS:
        return _fits(name, value, isinstance(value, str), "a text or null")
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "flood":
        return _fits(name, value, number and 0 < value <= 1000, "a number above 0 and at most 1000")
    if name in _MILLISECONDS:
        return _fits(name, value, number and value >= 0, "milliseconds, 0 or more")
    if name == "second_start_at" or name in _WHOLE:
        least = 1 if name in {"frame_bytes", "fragments", "second_start_at"} else 0
        return _fits(name, value, number and isinstance(value, int) and value >= least, f"a whole number, at least {least}")
    return _fits(name, value, isinstance(value, bool), "true or false")


def _numbers(name: str, value: Any, *, least: int) -> list[int]:
    whole = isinstance(value, list | tuple | set | frozenset | range) and all(
        isinstance(each, int) and not isinstance(each, bool) and each >= least for each in value
    )
    _fits(name, value, whole, f"a list of whole numbers, each at least {least}")
    return list(value)


def _fits(name: str, value: Any, good: bool, allowed: str) -> Any:
    if not good:
        raise ValueError(f"stream fault {name!r} cannot be {value!r}; it has to be {allowed}")
    return value
