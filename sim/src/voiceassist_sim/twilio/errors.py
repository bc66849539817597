"""Twilio's error answers: one exception that carries HTTP status, error code and message, and the refusals used in more than one place.

Tree::

    TwilioError          an answer with an error body {"code", "message", "more_info", "status"}

Codes from the vendor's error catalogue. Where the catalogue has none for a refusal, 20001 (invalid parameter) is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MORE_INFO: Final = "https://www.twilio.com/docs/errors/"


class TwilioError(Exception):
    """A refusal: ``status`` is the HTTP status, ``code`` Twilio's error code; ``headers`` go out with the answer."""

    def __init__(self, status: int, code: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status}, code {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers: Mapping[str, str] = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"code": self.code, "message": self.message, "more_info": f"{MORE_INFO}{self.code}", "status": self.status}


def bad_parameter(message: str) -> TwilioError:
    """400/20001: a parameter is missing, unknown, or its value is not allowed; the message names it."""
    return TwilioError(400, 20001, message)


def unauthorized(message: str = "Authenticate") -> TwilioError:
    """401/20003: no credentials, wrong ones, or those of another account."""
    return TwilioError(401, 20003, message, headers={"WWW-Authenticate": 'Basic realm="Twilio API"'})


def suspended(code: int) -> TwilioError:
    """What a suspended account gets. The catalogue names three codes for it: 20003, 20005 and 20403; with which HTTP status 20005 comes,
    and which product answers with which, is not documented."""
    if code == 20003:
        return unauthorized("Authenticate")
    return TwilioError(403, code, "Account not active" if code == 20005 else "The account lacks permission to access the Twilio API")


def not_found(path: str) -> TwilioError:
    """404/20404: no such resource at this path."""
    return TwilioError(404, 20404, f"The requested resource {path} was not found")


def method_not_allowed(method: str) -> TwilioError:
    """405/20004: the resource exists but does not take this method."""
    return TwilioError(405, 20004, f"Method {method} is not allowed on this resource")


def conflict(message: str) -> TwilioError:
    """409/20409: the request contradicts what exists."""
    return TwilioError(409, 20409, message)


def precondition_failed(message: str, code: int = 20412) -> TwilioError:
    """412: ``If-Match`` named a revision that is no longer the current one."""
    return TwilioError(412, code, message)


def too_many_requests(message: str = "Too Many Requests", code: int = 20429, retry_after: int | None = None) -> TwilioError:
    """429: the request was not processed; ``retry_after`` in seconds is sent only if given, as Twilio does not promise that header."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return TwilioError(429, code, message, headers=headers)


def server_error(status: int = 500) -> TwilioError:
    """500/20500 or 503/20503: Twilio's own failure; whether the request was processed is not said."""
    return TwilioError(status, 20503 if status == 503 else 20500, "Service Unavailable" if status == 503 else "Internal Server Error")
