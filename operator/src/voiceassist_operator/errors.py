"""The operator's errors. What is to be done about one travels in it.

OperatorError
  Retryable       try again after `delay` seconds
    TwilioUnavailable   Twilio is busy, has trouble of its own, or cannot be reached
  Permanent       nothing helps but a change of what was asked
    TwilioRefused       Twilio does not do it; `kind` says what must change
  NotLeading      a write was about to begin without the Lease; nothing was written
"""

from __future__ import annotations

from .twilio.model.refusals import Refusal


class OperatorError(Exception):
    """Base of the errors that the operator raises itself."""


class Retryable(OperatorError):
    """Trying again helps; not before `delay` seconds."""

    def __init__(self, message: str, delay: float) -> None:
        self.delay = delay
        super().__init__(message)


class Permanent(OperatorError):
    """Trying again does not help: the object or the cluster must change."""


class TwilioUnavailable(Retryable):
    """Twilio did not do it, or nobody knows whether it did (`unclear`): look before it is asked for again.

    `status` is 0 where there was no answer.
    """

    def __init__(self, message: str, delay: float, *, unclear: bool, status: int = 0, code: int = 0) -> None:
        self.unclear, self.status, self.code = unclear, status, code
        super().__init__(message, delay)


class TwilioRefused(Permanent):
    """Twilio refused: nothing was done. The message carries Twilio's code and sentence, never a secret."""

    def __init__(self, message: str, kind: Refusal, *, status: int = 0, code: int = 0) -> None:
        self.kind, self.status, self.code = kind, status, code
        super().__init__(message)


class NotLeading(OperatorError):
    """The Lease is not held, or its renewal is overdue: another replica may be writing."""
