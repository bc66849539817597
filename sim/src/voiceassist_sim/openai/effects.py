"""What a session asks of its connection: events to send, responses to play, faults to carry out, the end of the socket."""

from __future__ import annotations

from dataclasses import dataclass

from .faults import Fault
from .schema import Json
from .speaking import ResponseRun


@dataclass(frozen=True, slots=True)
class Send:
    """Send this event."""

    event: Json


@dataclass(frozen=True, slots=True)
class SendText:
    """Send this text, which is no event (a fault)."""

    text: str


@dataclass(frozen=True, slots=True)
class Play:
    """Call the session's ``step`` for this response after a wait, and again until it says so no more."""

    run: ResponseRun
    wait_ms: int


@dataclass(frozen=True, slots=True)
class SendLater:
    """Give these events to the session's ``late`` one after the other, each after its wait in milliseconds."""

    events: tuple[tuple[int, Json], ...]


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Carry out this fault after its ``ms``."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket once everything before is sent."""

    code: int
    reason: str


Effect = Send | SendText | Play | SendLater | CarryOut | Close
