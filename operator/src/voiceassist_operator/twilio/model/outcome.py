"""What came of a look at one part of an account, and which reason an error of Twilio's becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceassist_crds.reasons import Reason
from voiceassist_crds.tracebacks import said

from ...errors import NotLeading
from .errors import TwilioRefused, TwilioUnavailable
from .refusals import Refusal


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a part is not as it should be: the reason and the way out."""

    reason: Reason
    message: str
    waits_for_secret: bool = False
    """Nothing is tried until the Secret changes."""
    passing: bool = False
    """Trying again helps: what was known before still stands."""
    delay: float = 0.0
    """Seconds before it may be tried again, at the earliest."""


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """`status.sync`."""

    sid: str = ""
    made: bool = False
    """Whether it is ours to delete."""


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """What came of a look at the Sync service."""

    record: SyncRecord
    """Belongs in `status.sync`."""
    problem: Problem | None = None
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlexOutcome:
    """What came of a look at the Flex configuration."""

    url: str | None = None
    """The functions URL that is in Flex for this object, "" for none; None where that is not known."""
    entry: Mapping[str, Any] | None = None
    """The entry as it is now."""
    ours: bool = False
    """Whether it is ours, to be removed with the object."""
    wrote: bool = False
    problem: Problem | None = None
    drift: tuple[str, ...] = ()


def problem_of(error: Exception, secret: str, missing: Reason, where: str, keys: str = "apiKeySid and apiKeySecret") -> Problem:
    """Returns the problem that an error stands for.

    `missing` is the reason where Twilio does not know what was asked for, `where` what to check then.
    """
    if isinstance(error, TwilioUnavailable):
        return Problem(Reason.TWILIO_UNREACHABLE, f"{error}; it is tried again", passing=True, delay=error.delay)
    if isinstance(error, NotLeading):
        return Problem(Reason.TWILIO_PENDING, str(error), passing=True)
    if not isinstance(error, TwilioRefused):
        return Problem(Reason.TWILIO_REJECTED, said(error))
    if error.kind is Refusal.CREDENTIALS:
        text = f"{error}; put {keys} that may do this into Secret {secret}; nothing is tried until it changes"
        return Problem(Reason.TWILIO_REFUSED, text, waits_for_secret=True)
    if error.kind is Refusal.SUSPENDED:
        return Problem(Reason.TWILIO_SUSPENDED, f"{error}; settle it with Twilio, and it goes on within minutes")
    if error.kind is Refusal.NOT_FOUND:
        return Problem(missing, f"{error}; {where}")
    return Problem(Reason.TWILIO_REJECTED, str(error))
