"""Errors of requests to Twilio: what they carry decides what is done about them."""

from __future__ import annotations

from ...errors import Permanent, Retryable
from .refusals import Refusal


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
