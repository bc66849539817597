"""What goes wrong on request: which faults there are, and which of them hit a handshake, a session or a response."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

Json = dict[str, Any]
_E = TypeVar("_E", bound=StrEnum)


class FaultError(ValueError):
    """A fault is not well formed; the text names what is wrong."""


class Kind(StrEnum):
    """What goes wrong."""

    REFUSE = "refuse"
    """The handshake is answered with ``status`` (default 503)."""
    UNAUTHORIZED = "unauthorized"
    """HTTP 401 invalid_api_key."""
    FORBIDDEN = "forbidden"
    """HTTP 403."""
    DROP = "drop"
    """The TCP connection is cut."""
    STALL = "stall"
    """The socket stays open and says nothing more, not even pong."""
    SLOW = "slow"
    """Each event waits ``ms`` before it is sent."""
    MALFORMED = "malformed"
    """A frame that is no JSON is sent."""
    UNKNOWN_EVENTS = "unknown-events"
    """Event types that nobody knows are mixed in, one before each response event."""
    DUPLICATE_IDS = "duplicate-ids"
    """A response's item has the id of an earlier item, and each event has the event_id of the one before."""
    ERROR = "error"
    """An ``error`` event with ``code``, ``type`` and ``message`` is sent."""
    CLOSE = "close"
    """The socket is closed with ``code`` (an integer) and ``reason``."""
    QUOTA = "quota"
    """The response fails with insufficient_quota; with ``as_error`` an ``error`` event comes in place of a response."""
    RATE_LIMIT = "rate-limit"
    """The response fails with rate_limit_exceeded; ``as_error`` likewise."""
    SERVER_ERROR = "server-error"
    """The response fails with server_error; ``as_error`` likewise."""
    TRANSCRIPTION_FAILED = "transcription-failed"
    """The turn's transcription fails."""


class When(StrEnum):
    """At which point of a session a fault of a session hits."""

    CONNECT = "connect"
    """``ms`` after the session was created (or, for a session that lives already, after the fault was set)."""
    UPDATE = "update"
    """When a session.update has been received, in place of its answer."""
    RESPONSE = "response"
    """In the middle of a response, after ``deltas`` deltas."""


HANDSHAKE: Final = frozenset({Kind.REFUSE, Kind.UNAUTHORIZED, Kind.FORBIDDEN})
SESSION: Final = frozenset({Kind.DROP, Kind.STALL, Kind.SLOW, Kind.MALFORMED, Kind.UNKNOWN_EVENTS, Kind.ERROR, Kind.CLOSE})
RESPONSE: Final = frozenset({Kind.QUOTA, Kind.RATE_LIMIT, Kind.SERVER_ERROR, Kind.DUPLICATE_IDS})
TRANSCRIPTION: Final = frozenset({Kind.TRANSCRIPTION_FAILED})

_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "kind": (str,),
    "when": (str,),
    "status": (int,),
    "ms": (int,),
    "deltas": (int,),
    "code": (str, int),
    "type": (str,),
    "message": (str,),
    "reason": (str,),
    "asError": (bool,),
    "next": (int,),
    "probability": (int, float),
    "session": (str,),
    "sessionId": (str,),
}


@dataclass(slots=True)
class Fault:
    """One fault and whom it hits: all, the next ``next`` occurrences, a share, one kind of session, one session."""

    kind: Kind
    when: When = When.CONNECT
    status: int = 503
    ms: int = 0
    deltas: int = 3
    code: str | int | None = None
    type: str = "server_error"
    message: str = "The server had an error while processing your request."
    reason: str = ""
    as_error: bool = False
    next: int | None = None
    """Occurrences left: handshakes, sessions, responses or turns, as the kind has it. None: all, live sessions included."""
    probability: float = 1.0
    session: str | None = None
    """``realtime`` or ``transcription``; None: both."""
    session_id: str | None = None
    hits: int = 0
    """How often it has hit."""

    @property
    def close_code(self) -> int:
        """The code of a close, 1011 unless given."""
        return self.code if isinstance(self.code, int) else 1011

    @property
    def error_code(self) -> str:
        """The code of an ``error`` event."""
        return self.code if isinstance(self.code, str) else "server_error"

    @classmethod
    def of(cls, given: Json) -> Fault:
        """Read one fault.

        Raises:
            FaultError: a field is not known or does not fit.
        """
        if not isinstance(given, dict):
            raise FaultError("fault: an object is expected")
        for name, value in given.items():
            wanted = _FIELDS.get(name)
            if wanted is None:
                raise FaultError(f"fault: '{name}' is not known; fields are {', '.join(_FIELDS)}")
            if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
                raise FaultError(f"fault: {name} must be {' or '.join(kind.__name__ for kind in wanted)}, not {value!r}")
        fault = cls(_enum(Kind, "kind", given.get("kind", "")))
        fault.when = _enum(When, "when", given.get("when", When.CONNECT))
        for name in ("status", "ms", "deltas", "code", "type", "message", "reason", "next", "probability", "session"):
            if name in given:
                setattr(fault, name, given[name])
        fault.as_error = given.get("asError", False)
        fault.session_id = given.get("sessionId")
        if fault.session not in (None, "realtime", "transcription"):
            raise FaultError(f"fault: session is realtime or transcription, not {fault.session!r}")
        if not 0 <= fault.probability <= 1:
            raise FaultError(f"fault: probability lies between 0 and 1, not {fault.probability!r}")
        if fault.kind in HANDSHAKE and not 400 <= fault.status <= 599:
            raise FaultError(f"fault: status lies between 400 and 599, not {fault.status}")
        if isinstance(fault.code, int) and fault.kind is Kind.CLOSE and not (1000 <= fault.code < 5000):
            raise FaultError(f"fault: a close code lies between 1000 and 4999, not {fault.code}")
        return fault

    def to_json(self) -> Json:
        """The fault as it could be given, and its hits."""
        return {
            "kind": self.kind,
            "when": self.when,
            "status": self.status,
            "ms": self.ms,
            "deltas": self.deltas,
            "code": self.code,
            "type": self.type,
            "message": self.message,
            "reason": self.reason,
            "asError": self.as_error,
            "next": self.next,
            "probability": self.probability,
            "session": self.session,
            "sessionId": self.session_id,
            "hits": self.hits,
        }


def _enum(kind: type[_E], name: str, value: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise FaultError(f"fault: {name} is one of {', '.join(kind)}, not {value!r}") from None


@dataclass(slots=True)
class Faults:
    """The faults that are set. Decisions by chance come from the ``random.Random`` of the caller."""

    active: list[Fault] = field(default_factory=list)

    def replace(self, given: Any) -> None:
        """Set these faults (a list of objects, or one object) in place of those before; all or none.

        Raises:
            FaultError: as :meth:`Fault.of`.
        """
        if isinstance(given, dict):
            given = [given]
        if not isinstance(given, list):
            raise FaultError("faults: a list is expected")
        self.active = [Fault.of(one) for one in given]

    def add(self, kind: str, **fields: Any) -> Fault:
        """Set one more fault, with the fields of its JSON form."""
        fault = Fault.of({"kind": kind, **fields})
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more (what has been cut or stalled stays so)."""
        self.active = []

    def to_json(self) -> list[Json]:
        """All faults that are set."""
        return [fault.to_json() for fault in self.active]

    def hit(
        self,
        kinds: frozenset[Kind],
        session: str,
        rng: random.Random,
        *,
        when: When | None = None,
        session_id: str | None = None,
        standing_only: bool = False,
    ) -> list[Fault]:
        """The faults of these kinds that hit this occurrence; each counts as one hit and one of its ``next``.

        ``when`` leaves out those that hit at another point of a session, ``standing_only`` those with ``next``: they wait for a new
        occurrence.
        """
        found = []
        for fault in self.active:
            if fault.kind not in kinds or (fault.session is not None and fault.session != session):
                continue
            if when is not None and fault.when is not when:
                continue
            if fault.session_id is not None and fault.session_id != session_id:
                continue
            if fault.next is not None and (standing_only or fault.next <= 0):
                continue
            if fault.probability < 1 and rng.random() >= fault.probability:
                continue
            if fault.next is not None:
                fault.next -= 1
            fault.hits += 1
            found.append(fault)
        return found
