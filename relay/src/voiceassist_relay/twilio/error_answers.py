"""Twilio's errors in words that help (pure): which answer, and which hint, each of them becomes."""

from __future__ import annotations

from typing import Final

from ..config.snapshot import Secrets
from ..errors import RequestRefused, TwilioBusy, TwilioError, TwilioRefused

CALL_GONE: Final = frozenset({20404, 21220})
"""Codes for a call that is not in progress any more; which of them a stream's creation gets is not documented."""
CREDENTIALS: Final = frozenset({20003, 20008})

_BUSY_SECONDS = 2.0


def is_gone(error: TwilioRefused) -> bool:
    """Whether what the request was about, a call or a stream, is not there (any more)."""
    return error.status == 404 or error.code in CALL_GONE


def leaves_no_room(error: TwilioRefused) -> bool:
    """Whether a second stream of a call was refused although the first one, of the same shape, was not: four tracks are forked at most.

    With which code is not documented.
    """
    return error.status in {400, 409} and not is_gone(error) and error.code not in CREDENTIALS


def stream_refused(error: TwilioError, secrets: Secrets) -> RequestRefused:
    """A stream could not be created: why, and what to do."""
    if isinstance(error, TwilioRefused) and is_gone(error):
        return RequestRefused(
            409,
            "call_ended",
            "Twilio has no such call in progress.",
            "If the caller is still on the line, send the SID of the customer's leg: the task attribute "
            "conference.participants.customer, else call_sid.",
            twilio=error,
        )
    if isinstance(error, TwilioRefused) and error.status in {400, 409} and _names_a_limit(error.said):
        return RequestRefused(
            409,
            "too_many_streams",
            "Twilio forks at most four tracks of a call, and they are all in use.",
            "Stop what else listens to this call (recording by SIPREC, real-time transcription, another stream), "
            "or set audio.tracks to Customer, which needs one track instead of two.",
            twilio=error,
        )
    return from_twilio(error, secrets, "The stream was not started")


def stop_failed(error: TwilioError, secrets: Secrets) -> RequestRefused:
    """A stream could not be stopped: the agent must know that the audio may still flow."""
    refused = from_twilio(error, secrets, "The stream was not stopped, and the call's audio may STILL be sent")
    hint = f"Ask for the stop again. {refused.hint}"
    return RequestRefused(refused.status, refused.code, refused.message, hint, twilio=error, retry_after=refused.retry_after)


def from_twilio(error: TwilioError, secrets: Secrets, what: str, *, as_account: bool = False) -> RequestRefused:
    """Any other error at Twilio; `what` says what it means for the one who asked, `as_account` with which secret we signed in."""
    if isinstance(error, TwilioBusy):
        return RequestRefused(
            503,
            "twilio_busy",
            f"{what}: Twilio takes no more requests of this account at the moment.",
            "Try again in a few seconds. If it happens often, ask Twilio for a higher limit of concurrent requests.",
            twilio=error,
            retry_after=error.retry_after or _BUSY_SECONDS,
        )
    if not isinstance(error, TwilioRefused):
        return RequestRefused(
            502, "twilio_unclear", f"{what}: Twilio did not answer in time, or with an error of its own.", "Try again.", twilio=error
        )
    if error.status == 401 or error.code in CREDENTIALS:
        return RequestRefused(
            502,
            "twilio_credentials",
            f"{what}: Twilio does not accept the relay's credentials.",
            f"An administrator has to check {_signed_in_with(secrets, as_account)}; test credentials do not work here.",
            twilio=error,
        )
    return RequestRefused(
        502,
        "twilio_refused",
        f"{what}: Twilio refused it (HTTP {error.status}, error {error.code}).",
        "The code is explained in Twilio's error catalogue.",
        twilio=error,
    )


def _signed_in_with(secrets: Secrets, as_account: bool) -> str:
    if secrets.api_key_sid and secrets.api_key_secret and not as_account:
        return "the API key in the Secret's keys apiKeySid and apiKeySecret (files twilio-api-key-sid and twilio-api-key-secret)"
    return "the auth token in the Secret's key authToken (file twilio-auth-token)"


def _names_a_limit(said: str) -> bool:
    text = said.lower()
    return any(word in text for word in ("maximum", "at most", "too many", "limit", "exceed"))
