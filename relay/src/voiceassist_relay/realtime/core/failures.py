"""Failures: what a refusal, a close or an error of the model's server means for the call. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from voiceassist_crds.messages import StatusReason

from ...errors import RelayError
from .server_events import ErrorInfo, fitting

KEY_CODES = frozenset({"invalid_api_key", "account_deactivated", "invalid_organization", "organization_deactivated", "permission_denied"})
QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded", "credit_balance_exhausted"}
)
FIELD_CODES = frozenset(
    {"unknown_parameter", "invalid_value", "missing_required_parameter", "unsupported_parameter", "invalid_type", "invalid_parameter"}
)
MODEL_CODES = frozenset({"model_not_found", "invalid_model", "DeploymentNotFound"})
RATE_CODES = frozenset({"rate_limit_exceeded", "429", "too_many_requests", "session_limit_reached"})
"""`session_limit_reached`: as many sessions as the server has room for are open."""
BLOCKED_CODES = frozenset({"content_policy_violation", "guardrail_violation", "content_filter"})
"""A gateway or the model's own policy does not let a turn through."""
HARMLESS_CODES = frozenset({"input_audio_buffer_commit_empty", "response_cancel_not_active"})
"""Two that crossed on the wire: counted nowhere."""
OTHER_CODES = frozenset(
    {
        "session_expired",
        "conversation_already_has_active_response",
        "rate_limit_exceeded",
        "server_error",
    }
)
REQUEST_CODES = frozenset({"invalid_event", "item_not_found"})
"""A request of ours that does not fit, as `invalid_request_error` says of others."""
_COUNTED = {
    **{code: code for code in OTHER_CODES},
    **dict.fromkeys(REQUEST_CODES, "invalid_request_error"),
    **dict.fromkeys(KEY_CODES, "account_deactivated"),
    "invalid_api_key": "invalid_api_key",
    "permission_denied": "permission_denied",
    **dict.fromkeys(QUOTA_CODES, "insufficient_quota"),
    **dict.fromkeys(FIELD_CODES, "setting_refused"),
    **dict.fromkeys(MODEL_CODES, "model_not_found"),
    **dict.fromkeys(RATE_CODES, "rate_limit_exceeded"),
}
"""What codes are counted as (`metric_labels.MODEL_ERRORS`): several that ask for the same remedy are one."""

_IN_WORDS = {
    "timeout": "does not answer",
    "no session.updated": "does not take the session's settings in time",
    "handshake": "answers with something else than a session",
    "rate_limited": "has too many requests of this account",
    "server_error": "has an error of its own",
    "refused": "refuses the session",
    "tls": "and the relay agree on no encryption",
    "certificate": "shows a certificate that cannot be trusted; tell your administrator",
}

_NAME = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}|\[\d{1,3}\]){0,8}")
_UNIT = r"(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h)"
_AMOUNT = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT})(?![a-z])", re.IGNORECASE)
_WAIT = re.compile(
    rf"(?:try again|retry)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*{_UNIT}(?![a-z])(?:\s*(?:,|and)?\s*))+|\d+(?:\.\d+)?)", re.IGNORECASE
)
_MOST_TEXT = 1000
_STATUS = re.compile(r"^\s*([45]\d\d)\s*:|\b(?:HTTP|status|status code|code):?\s+([45]\d\d)\b", re.IGNORECASE)
_ACTIVE = re.compile(r"already has an active response|active response in progress", re.IGNORECASE)
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|ak|key)[-_][^\s,;'\"})]+|(?<=[Bb]earer )\S+|\b(?=\w*\d)[0-9A-Za-z+/=_]{16,}|\b[A-Za-z+/=_]{32,}"
    r"|(?<=://)[^/\s@]+@|\S*\*{3,}\S*"
)
"""What could be a key: by the vendors' prefixes, by its length with digits in it, a login in an address, what is starred out."""


@dataclass(frozen=True, slots=True)
class Fatal:
    """The call gets no more suggestions: the reason, and words for the agent."""

    reason: StatusReason
    message: str
    said: str = ""
    """The server's own words, without what could be a key."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Worth another try; `wait` is what the server asked for, or what is wise."""

    label: str
    wait: float | None = None
    reason: StatusReason = StatusReason.MODEL_UNREACHABLE
    """What the agent and the relay's health are told, should it last."""
    said: str = ""
    """The server's own words, without what could be a key."""

    def in_words(self) -> str:
        """What happened, to follow the words "the model's service"; empty where there is nothing to say."""
        words = self._words()
        return f"{words}: {quoted(self.said)}" if words and self.said else words or (f"says {quoted(self.said)}" if self.said else "")

    def _words(self) -> str:
        kind, _, detail = self.label.partition(": ")
        if kind.startswith("http_"):
            return f"answers {kind.removeprefix('http_')}"
        if kind == "network":
            return f"cannot be reached ({detail})"
        return _IN_WORDS.get(kind, "")


Failure = Fatal | Passing


def label(code: str | None, kind: str | None = None) -> str:
    """A closed set of labels for metrics."""
    if BLOCKED_CODES & {code, kind}:
        return "blocked"
    if code in _COUNTED:
        return _COUNTED[code]
    if kind in RATE_CODES:
        return "rate_limit_exceeded"
    return kind if kind in {"server_error", "rate_limit_exceeded", "invalid_request_error"} else "other"


def from_handshake(status: int, body: bytes, retry_after: float | None) -> Failure:
    """What it means that the server answered the opening handshake with something other than 101. `retry_after`: seconds."""
    error = _error_in(body)
    fatal = from_code(error.code, error.type)
    if fatal is not None:
        return fatal
    said = own_words(error.message)
    if status == 429 or status >= 500 or status in {408, 425}:
        return Passing(f"http_{status}", wait_in(error.message) if retry_after is None else retry_after, said=said)
    return _from_status(status, f"answered {status}", said)


def _from_status(status: int, what: str, said: str) -> Fatal:
    """A status that says that no other try makes sense."""
    words = f" ({quoted(said)})" if said else ""
    if status == 401:
        return _refused(f"{what}{words}", said)
    if status == 402:
        return _quota(f"{what}{words}")
    if status == 403:  # also what many servers answer where they know no such path
        return Fatal(
            StatusReason.MODEL_REFUSED,
            f"The model's service {what}{words}: it takes no session from us; the key, the model's name or the address is not what it "
            "expects. Tell your administrator.",
            said,
        )
    return Fatal(
        StatusReason.MODEL_MISCONFIGURED,
        f"The model's service {what}{words} where a session was expected; the address or the model's name is wrong. "
        "Tell your administrator.",
        said,
    )


def from_error(error: ErrorInfo) -> Failure | None:
    """What an error before the session stands means; None where it says nothing final by itself: what follows decides."""
    fatal = from_code(error.code, error.type)
    if fatal is not None:
        return fatal
    status, said = _status_in(error.message), own_words(error.message)
    if is_rate_limit(error):
        return Passing("rate_limited", wait_in(error.message), said=said)
    if status == 401:  # in a text, and not of the handshake: a gateway may tell of its own key
        words = f" ({quoted(said)})" if said else ""
        message = (
            f"The model's service refuses the session with 401{words}: a key is not accepted, ours or its own. Tell your administrator."
        )
        return Fatal(StatusReason.MODEL_REFUSED, message, said)
    if status is not None and 400 <= status < 500 and status not in {408, 425}:
        return _from_status(status, f"refuses the session with {status}", said)
    if "server_error" in {error.code, error.type} or (status or 0) >= 500:
        return Passing("server_error", wait_in(error.message), said=said)
    return None


def from_close(code: int | None, reason: str, before: ErrorInfo | None = None) -> Failure:
    """The server closed the session. `before`: the error that it sent before the session stood, which is the cause then."""
    for word in re.findall(r"[a-z_]+", reason):
        fatal = from_code(word, None)
        if fatal is not None:
            return fatal
        if word in RATE_CODES:
            return Passing("rate_limited", wait_in(reason))
    if before is not None and (said := own_words(before.message) or named(before.code) or named(before.type)):
        return Passing("refused", wait_in(before.message), StatusReason.MODEL_MISCONFIGURED, said)
    if code == 3000:
        return _refused("closed the session with 3000")
    if code == 1013:  # "try again later"
        return Passing("rate_limited", wait_in(reason), said=own_words(reason))
    return Passing("expiring" if "maximum duration" in reason else "closed")


def from_refused_close(code: int | None, reason: str, before: ErrorInfo | None) -> Failure:
    """The server closed the session before it stood: what it says then is the cause."""
    failure = from_close(code, reason, before)
    if failure != Passing("closed"):
        return failure
    said = own_words(reason)
    if (status := _status_in(reason)) is not None:
        return from_error(ErrorInfo(message=reason)) or Passing("refused", None, StatusReason.MODEL_MISCONFIGURED, f"{status}: {said}")
    return Passing("refused", None, StatusReason.MODEL_MISCONFIGURED, said) if said else failure


def from_code(code: str | None, kind: str | None) -> Fatal | None:
    """What an error code means by itself; None unless it is final."""
    for name in (code, kind):
        if name in KEY_CODES:
            return _refused(str(name))
        if name in QUOTA_CODES:
            return _quota(str(name))
        if name in MODEL_CODES:
            return Fatal(
                StatusReason.MODEL_MISCONFIGURED,
                f"The model's service does not know the configured model ({name}). Tell your administrator.",
            )
    return None


def from_update(error: ErrorInfo) -> Fatal:
    """The first `session.update` was refused: no other session would fare better."""
    fatal = from_code(error.code, error.type)
    if fatal is not None:
        return fatal
    field, what = named(error.param), named(error.code) or named(error.type) or "error"
    setting = f"the setting {field!r}" if field else "the session's settings"
    said = "" if field else own_words(error.message)
    return Fatal(
        StatusReason.MODEL_MISCONFIGURED,
        f"The model's service refused {setting} ({what}{f': {quoted(said)}' if said else ''}). Tell your administrator.",
    )


def named(text: str | None) -> str:
    """A code or a field's path as a server names it, if it looks like one; "" for what could be anything, a key too."""
    return text if text and _NAME.fullmatch(text) else ""


def own_words(text: str | None) -> str:
    """The server's own words for people: one line, at most 160 characters, without what could be a key, a part or a hash of one."""
    line = " ".join(_SECRET.sub("…", (text or "")[:_MOST_TEXT]).split())
    return "".join(c for c in line if c.isprintable())[:160]


def quoted(said: str) -> str:
    """In quotation marks, as what somebody else says."""
    return f"“{said}”"


def _status_in(message: str | None) -> int | None:
    """The HTTP status in a text such as "429: …" or "Upstream realtime handshake rejected with HTTP 401"."""
    found = _STATUS.search((message or "")[:_MOST_TEXT])
    return int(found.group(1) or found.group(2)) if found is not None else None


def wait_in(message: str | None) -> float | None:
    """Seconds in a text such as "Please try again in 1m30s" or "Retry after 3 seconds"; a number alone is seconds."""
    found = _WAIT.search((message or "")[:_MOST_TEXT])
    if found is None:
        return None
    parts = _AMOUNT.findall(found.group(1))
    return sum(float(amount) * _unit(unit.lower()) for amount, unit in parts) if parts else float(found.group(1))


def _unit(name: str) -> float:
    if name.startswith(("ms", "mil")):
        return 0.001
    return {"s": 1.0, "m": 60.0, "h": 3600.0}[name[0]]


def is_rate_limit(error: ErrorInfo) -> bool:
    """Whether the server has had too many requests of us, in any of the words that servers have for it."""
    return bool(RATE_CODES & {error.code, error.type}) or _status_in(error.message) == 429


def is_blocked(error: ErrorInfo) -> bool:
    """Whether a policy at the server, or at a gateway before it, has blocked a turn."""
    return bool(BLOCKED_CODES & {error.code, error.type})


def is_about_type(error: ErrorInfo) -> bool:
    """Whether the server takes no sessions of the type that we asked for."""
    message = (error.message or "").lower()
    return error.param in {"session.type", "type"} or ("transcription" in message and "session" in message and "support" in message)


def is_already_active(error: ErrorInfo) -> bool:
    """Whether another response is under way, in the words of the vendor or of a gateway that has only kept the text."""
    return error.code == "conversation_already_has_active_response" or bool(_ACTIVE.search((error.message or "")[:_MOST_TEXT]))


def unsendable_key() -> Fatal:
    """The key cannot be put into a header."""
    return _refused("it has characters that cannot be sent")


def _refused(what: str, said: str = "") -> Fatal:
    return Fatal(
        StatusReason.MODEL_REFUSED,
        f"The model's service does not accept our key ({what}): no suggestions for this call. Tell your administrator.",
        said,
    )


def _quota(what: str) -> Fatal:
    return Fatal(
        StatusReason.MODEL_QUOTA,
        f"The account at the model's service has no credit left ({what}): no suggestions for this call. Tell your administrator.",
    )


def _error_in(body: bytes) -> ErrorInfo:
    """The error in a refusal's body: under `error`, or as frameworks have it under `detail` or `message`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ErrorInfo()
    if not isinstance(document, dict):
        return ErrorInfo()
    for name in ("error", "detail", "message"):
        match document.get(name):
            case dict() as error:
                return fitting(error, ErrorInfo)
            case str() as text:
                return ErrorInfo(message=text)
    return ErrorInfo()


class SessionFailed(RelayError):
    """A session at the model could not be opened; `failure` says whether another try makes sense."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(repr(failure))
