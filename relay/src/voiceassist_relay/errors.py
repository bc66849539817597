"""The relay's errors.

RelayError
  ConfigRefused       a configuration or secrets directory that cannot be used
  TwilioError         Twilio answered with an error, or not at all
    TwilioRefused       a definite no (4xx): nothing was done
    TwilioBusy          429: nothing was done; try again later
    TwilioUnclear       5xx, time-out or a broken connection: it may have been done
  UnknownCallState    a call's Document is in a state of a later version: hands off
  SessionFailed       a session at the model could not be opened (realtime/core/failures.py)
  TokenRefused        a stream's token does not let its bearer in
  RequestRefused      a call of /stream, /token or /feedback that gets an error as its answer
"""

from __future__ import annotations

from voiceassist_crds.reasons import Refusal


class RelayError(Exception):
    """Base of all errors that the relay raises itself."""


class ConfigRefused(RelayError):
    """A configuration or a secrets directory that cannot be used; the text names the field or file and the way out."""


class TwilioError(RelayError):
    """Twilio's REST API did not do as asked.

    `message` is ours. `said` is what Twilio's answer explains: for decisions only, for nobody knows what a stranger's text repeats.
    """

    def __init__(
        self, operation: str, status: int, code: int, message: str = "", retry_after: float | None = None, *, said: str = ""
    ) -> None:
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.said = said
        super().__init__(f"{operation}: {status}/{code} {message}".rstrip())


class TwilioRefused(TwilioError):
    """A definite no (4xx other than 429): nothing was done."""


class TwilioBusy(TwilioError):
    """429: nothing was done; try again later."""


class TwilioUnclear(TwilioError):
    """5xx, a time-out or a broken connection: it may have been done. `status` is 0 without an answer."""


class UnknownCallState(RelayError):
    """A call's Document is in a state that this version does not know: a newer relay is about something there. Nothing is done."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"the call's state is {state!r}, which this version does not know")


class TokenRefused(RelayError):
    """A stream's token does not let its bearer in."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.value)


class RequestRefused(RelayError):
    """A request from a browser or from Twilio that gets one clear JSON error: {"error": {code, message, hint, twilio?}}.

    `twilio` is the error at Twilio that caused it; `retry_after` (seconds) becomes the header of that name.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str,
        *,
        twilio: TwilioError | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.twilio = twilio
        self.retry_after = retry_after
        super().__init__(f"{status} {code}: {message}")
