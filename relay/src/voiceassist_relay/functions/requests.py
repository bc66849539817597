"""What the functions are asked (pure): from a body of bytes to a typed request, or an error that names the field.

Bodies are JSON objects or forms. A token is never repeated in an error, wherever it was put by mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError, model_validator

from voiceassist_crds.base import Model
from voiceassist_crds.errors import from_validation
from voiceassist_crds.names import CALL_SID_PATTERN

from ..errors import RequestRefused

MAX_BODY_BYTES = 16 * 1024
MAX_TOKEN_CHARS = 8192
MAX_FORM_FIELDS = 50
TOKEN_FIELD = "Token"  # noqa: S105 - the name of a field

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_TOKEN = re.compile(r"[!-~]+")
_LONGEST = {"id": 200}
_LONGEST_OTHER = 40
"""Longer values are counted, not repeated: they may be a token that was put into the wrong field."""

CallSidText = Field(pattern=f"^{CALL_SID_PATTERN}$")


class Action(StrEnum):
    """What `/stream` does."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"


class StreamFields(Model):
    """The body of `/stream`, besides the token."""

    action: Action
    call_sid: str = CallSidText
    task_sid: str | None = Field(None, pattern=r"^WT[0-9a-f]{32}$")


class TokenFields(Model):
    """The body of `/token`, besides the token: nothing."""


class FeedbackFields(Model):
    """The body of `/feedback`, besides the token."""

    call_sid: str = CallSidText
    id: str = Field(min_length=1, max_length=200)
    revision: str = Field(pattern=r"^[0-9a-z]{1,20}$")
    verdict: Literal["up", "down", "edited", "painted"]
    reason: str | None = Field(None, pattern=r"^[a-z_]{1,40}$", description="Why it was not helpful.")
    seq: int | None = Field(None, ge=1, le=999_999_999, description="The suggestion's number. Without it the call's Map is looked through.")
    at: int | None = Field(
        None, ge=0, description="Of `painted`, for relays of version 0.1.0; later ones read it in the suggestion's item."
    )
    latency_ms: int | None = Field(None, ge=0, description="As `at`.")
    ago_ms: int | None = Field(None, ge=0, description="Of `painted`: milliseconds from the paint to this request's arrival.")

    @model_validator(mode="after")
    def _painted_when(self) -> FeedbackFields:
        if self.verdict == "painted" and self.ago_ms is None:
            raise ValueError("verdict 'painted' needs agoMs")
        return self


F = TypeVar("F", bound=Model)


@dataclass(frozen=True, slots=True)
class Raw:
    """A request as it came: its body's fields, and the token from wherever it may stand."""

    fields: dict[str, Any] = field(repr=False)
    token: str = field(repr=False, default="")


def read_fields(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a JSON object or a form. An empty body has none. Raises RequestRefused."""
    if len(body) > MAX_BODY_BYTES:
        raise too_large()
    if not body.strip():
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _JSON:
        return _from_json(body)
    if kind == _FORM:
        return dict(read_form(body))
    shown = kind[:60] or "nothing"
    raise RequestRefused(415, "content_type", f"Content-Type: {shown!r} given; allowed: {_JSON}, {_FORM}", "Send the fields as JSON.")


def read_form(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form in their order, empty values included; each name once. Raises RequestRefused."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        raise _bad("the body is not a form in UTF-8 with at most 50 fields") from None
    return [*_each_once(pairs).items()]


def too_large() -> RequestRefused:
    """The body is over the limit."""
    return RequestRefused(413, "too_large", f"the body is longer than {MAX_BODY_BYTES} bytes", "Send only the documented fields.")


def take_token(fields: Mapping[str, Any], authorization: str) -> Raw:
    """Takes the Flex token out of the body's `Token` or the header `Authorization: Bearer …`; "" where there is none."""
    rest = dict(fields)
    in_body = rest.pop(TOKEN_FIELD, None)
    if in_body is not None and not isinstance(in_body, str):
        raise _bad(f"{TOKEN_FIELD}: {_kind(in_body)} given; it must be a text")
    in_header = _bearer(authorization)
    if in_body and in_header and in_body != in_header:
        raise _bad(f"{TOKEN_FIELD}: the body and the Authorization header hold different tokens; send one")
    token = in_body or in_header
    if len(token) > MAX_TOKEN_CHARS or (token and not _TOKEN.fullmatch(token)):
        raise _bad(f"{TOKEN_FIELD}: a text of {len(token)} characters given; a Flex token has at most {MAX_TOKEN_CHARS} and no spaces")
    return Raw(rest, token)


def refuse_query(query: str) -> None:
    """Raises RequestRefused for every query string: addresses end up in logs, so nothing that matters may stand there."""
    if not query:
        return
    names = {name.lower() for name, _ in parse_qsl(query[:2000], keep_blank_values=True)}
    if "identity" in names:
        message = "the query parameter identity is not taken any more: a token is for the worker whose Flex token asks for it"
    elif names & {"token", "access_token"}:
        message = "a token in the query string ends up in logs"
    else:
        message = "this address takes no query string"
    hint = "Send the Flex token in the header `Authorization: Bearer ...`, or as Token in the body of a POST; see docs/migrating.md."
    raise RequestRefused(400, "query", message, hint)


def parse(model: type[F], fields: Mapping[str, Any]) -> tuple[F, int]:
    """The typed request, and how many fields were passed over: a later plugin may send what this relay does not know.

    Raises RequestRefused that names each field that does not fit.
    """
    allowed = {info.alias or name for name, info in model.model_fields.items()}
    given = {name: value for name, value in fields.items() if name in allowed and value not in ("", None)}
    for name, value in given.items():
        longest = _LONGEST.get(name, _LONGEST_OTHER)
        if isinstance(value, str) and len(value) > longest:
            raise _bad(f"{name}: a text of {len(value)} characters given; it has at most {longest}")
    try:
        return model.model_validate(given), len(fields.keys() - allowed)
    except ValidationError as error:
        raise _bad("; ".join(from_validation("request", error).problems)) from None


def _from_json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise _bad("the body is not JSON") from None
    if not isinstance(value, dict):
        raise _bad(f"the body is {_kind(value)}; it must be a JSON object")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise _bad(f"{name[:40]}: given more than once")
        seen[name] = value
    return seen


def _bearer(authorization: str) -> str:
    if not authorization:
        return ""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _bad("Authorization: it must be `Bearer` and the Flex token")
    return token.strip()


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def _bad(message: str) -> RequestRefused:
    return RequestRefused(400, "invalid", message, "The fields of each function are listed in docs/functions.md.")
