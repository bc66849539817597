"""The operator's errors. What is to be done about one travels in it.

OperatorError
  Retryable             try again after `delay` seconds
    NotThere            the API server says that there is no such object
    UnknownKind         the API server does not know the kind
    Forbidden           the API server says that we lack the right
    Contended           somebody else wrote, or put another object in the place of the one that was meant
    TwilioUnavailable   Twilio is busy, has trouble of its own, or cannot be reached (twilio/model/errors.py)
  Permanent             nothing helps but a change of what was asked
    TwilioRefused       Twilio does not do it; `kind` says what must change (twilio/model/errors.py)
  NoCredentials         the Secret of an object's Twilio account is gone, lacks a key or has a value of no use (twilio/credentials.py)
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


class NotThere(Retryable):
    """There is no such object: the API server itself said so."""


class UnknownKind(Retryable):
    """The API server does not know the kind."""


class Forbidden(Retryable):
    """The API server says that we lack the right."""


class Contended(Retryable):
    """What is there is not what was observed: it is to be observed again."""


class NotListed(Retryable):
    """What there is of ours is not known yet."""


class Permanent(OperatorError):
    """Trying again does not help: the object or the cluster must change."""


class NotLeading(OperatorError):
    """The Lease is not held, or its renewal is overdue: another replica may be writing."""
