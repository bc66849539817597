"""The operator's errors. What is to be done about one travels in it.

OperatorError
  Retryable             try again after `delay` seconds
    TwilioUnavailable   Twilio is busy, has trouble of its own, or cannot be reached (twilio/model/errors.py)
  Permanent             nothing helps but a change of what was asked
    TwilioRefused       Twilio does not do it; `kind` says what must change (twilio/model/errors.py)
  NoCredentials         the Secret of an object's Twilio account is gone, or lacks a key (twilio/credentials.py)
  NotLeading            a write was about to begin without the Lease; nothing was written
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of the errors that the operator raises itself."""


class Retryable(OperatorError):
    """Trying again helps; not before `delay` seconds."""

    def __init__(self, message: str, delay: float) -> None:
        self.delay = delay
        super().__init__(message)


class Permanent(OperatorError):
    """Trying again does not help: the object or the cluster must change."""


class NotLeading(OperatorError):
    """The Lease is not held, or its renewal is overdue: another replica may be writing."""
