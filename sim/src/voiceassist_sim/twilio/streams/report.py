"""Puts what a stream saw and did into one JSON-able account, without custom parameters, spoken audio or secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.frames import Frame, Opcode

from .callbacks import Delivery
from .codes import StreamCode, StreamFailed
from .ledger import Ledger
from .playout import Playout
from .request import StreamRequest

_KINDS: Final = 32
"""Different incidents that are kept; more of other kinds are dropped and counted under ``more``."""


@dataclass(slots=True)
class Incidents:
    """Errors and warnings, equal ones counted together."""

    errors: dict[tuple[StreamCode, str], int] = field(default_factory=dict)
    warnings: dict[tuple[StreamCode, str], int] = field(default_factory=dict)
    more: int = 0

    def error(self, code: StreamCode, detail: str) -> None:
        """Note an error."""
        self._note(self.errors, code, detail)

    def warn(self, code: StreamCode, detail: str) -> None:
        """Note something after which the stream went on."""
        self._note(self.warnings, code, detail)

    def _note(self, notes: dict[tuple[StreamCode, str], int], code: StreamCode, detail: str) -> None:
        if (code, detail) in notes or len(notes) < _KINDS:
            notes[code, detail] = notes.get((code, detail), 0) + 1
        else:
            self.more += 1


@dataclass(slots=True)
class Received:
    """What the server sent on a socket on which it should send nothing."""

    data: int = 0
    pings: int = 0
    pongs: int = 0

    def count(self, frame: Frame) -> None:
        """Count one frame; a close is told apart elsewhere."""
        if frame.opcode is Opcode.PING:
            self.pings += 1
        elif frame.opcode is Opcode.PONG:
            self.pongs += 1
        elif frame.opcode is not Opcode.CLOSE:
            self.data += 1


@dataclass(frozen=True, slots=True)
class ServerClose:
    """The server's close frame; ``early`` when it came while audio was still flowing."""

    code: int
    reason: str
    early: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """How well the 20 ms were kept: slots sent more than their own length late, and the longest delay (s)."""

    late: int
    longest: float


def describe(
    request: StreamRequest,
    *,
    state: str,
    failure: StreamFailed | None,
    ledger: Ledger,
    playout: Playout | None,
    received: Received,
    incidents: Incidents,
    server_close: ServerClose | None,
    callbacks: Sequence[Delivery],
    messages: int,
    schedule: Schedule,
    dialled_at: float | None,
    opened_at: float | None,
    stopped_at: float | None,
) -> dict[str, Any]:
    """The statistics of a stream. Times are the loop's (s), lengths of audio in ms."""
    return {
        "accountSid": request.account_sid,
        "callSid": request.call_sid,
        "streamSid": request.stream_sid,
        "name": request.name,
        "url": request.url,
        "track": request.track,
        "state": state,
        "error": _failure(failure),
        "errors": _notes(incidents.errors),
        "warnings": _notes(incidents.warnings),
        "incidentsNotKept": incidents.more,
        "tracks": ledger.to_json(),
        "framesSent": ledger.frames,
        "messagesSent": messages,
        "lastSequenceNumber": playout.sequence if playout else 0,
        "mediaMade": playout.train.media_made if playout else 0,
        "skipped": playout.skipped if playout else 0,
        "duplicated": playout.duplicated if playout else 0,
        "elapsedMs": playout.train.elapsed_ms if playout else 0,
        "positionMs": playout.train.position_ms if playout else None,
        "recordingEnded": playout.train.exhausted if playout else False,
        "lateSlots": schedule.late,
        "longestDelayMs": round(schedule.longest * 1000, 3),
        "received": {"data": received.data, "pings": received.pings, "pongs": received.pongs},
        "serverClose": {"code": server_close.code, "reason": server_close.reason, "early": server_close.early} if server_close else None,
        "callbacks": [delivery.to_json() for delivery in callbacks],
        "dialledAt": dialled_at,
        "openedAt": opened_at,
        "stoppedAt": stopped_at,
    }


def _failure(failure: StreamFailed | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "code": int(failure.code),
        "meaning": failure.code.meaning,
        "detail": failure.detail,
        "status": failure.status,
        "body": failure.body.decode("utf-8", "replace"),
    }


def _notes(notes: dict[tuple[StreamCode, str], int]) -> list[dict[str, Any]]:
    return [{"code": int(code), "detail": detail, "count": count} for (code, detail), count in notes.items()]
