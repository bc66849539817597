"""What clients did that Twilio's protocol does not allow: recorded, so that a test can fail on it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

KEPT: Final = 1_000


class Rule(StrEnum):
    """What must not be done on the socket."""

    TEXT_FRAME = "text-frame"
    """A websocket message that is a text."""
    BAD_PACKET = "bad-packet"
    """No packet: wrong first line, header that is no JSON, a payload of another size than it says."""
    BEFORE_INIT = "before-init"
    """A packet before ``init``."""
    SECOND_INIT = "second-init"
    """``init`` on a socket that had one."""
    UNKNOWN_METHOD = "unknown-method"
    """A packet of a method that clients do not send."""
    NO_ACTIVE_GRANT = "no-active-grant"
    """``message`` without ``active_grant``, or with one that the client did not register."""
    BAD_REQUEST = "bad-request"
    """``message`` whose ``http_request`` is incomplete."""
    UNKNOWN_PATH = "unknown-path"
    """A request to a path or with a method that Sync does not have."""
    UNKNOWN_PARAMETER = "unknown-parameter"
    """A request with a parameter or a field that the operation does not take, or a value that it does not allow."""
    PROTOCOL_VERSION = "protocol-version"
    """A subscription of another ``event_protocol_version`` than 4."""
    HIDE_EXPIRED = "hide-expired"
    """Items were listed without ``HideExpired=true``."""
    NOT_ALLOWED = "not-allowed"
    """A subscription of an object that the token may not read (it is refused as ``subscription_failed`` 403)."""
    NO_ACKNOWLEDGEMENT = "no-acknowledgement"
    """A packet of the server was not answered in time."""
    STRAY_REPLY = "stray-reply"
    """A ``reply`` to nothing."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One of them; ``at`` in seconds since the epoch, ``product`` what the client registered first, ``detail`` without any content."""

    at: float
    rule: Rule
    product: str
    detail: str


class Violations:
    """The latest, and how many of each rule there were."""

    def __init__(self) -> None:
        self.kept: deque[Violation] = deque(maxlen=KEPT)
        self.counts: Counter[Rule] = Counter()

    def add(self, violation: Violation) -> None:
        """Remember one."""
        self.kept.append(violation)
        self.counts[violation.rule] += 1

    def clear(self) -> None:
        """Forget all."""
        self.kept.clear()
        self.counts.clear()

    def as_json(self) -> dict[str, Any]:
        """As the control API gives it."""
        return {"counts": {rule.value: number for rule, number in self.counts.items()}, "kept": [asdict(one) for one in self.kept]}
