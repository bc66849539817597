"""The table of requests to /stream and /token and what the relay answers, for its own tests and for everybody who forwards to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import pytest

from voiceassist_relay.functions.requests import MAX_BODY_BYTES

SID = "CA" + "1" * 32
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Through(Enum):
    """What a caller sees who asks through Twilio Functions instead of asking the relay."""

    SAME = auto()
    """The same status and the same JSON."""
    SAME_CODE = auto()
    """The same status and the same error code. The words differ: the runtime hands over fields, not what was written."""
    OTHER = auto()
    """The case says which status, and why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request, in aiohttp's arguments, and the relay's answer."""

    name: str
    arguments: Mapping[str, Any]
    """`<call>`, `<task>` and `<token>` in texts stand for those of a call."""
    status: int
    code: str = ""
    """The error's code; "" for an answer that is none."""
    named: str = ""
    """Part of the error's message."""
    method: str = "POST"
    path: str = "/stream"
    through: Through = Through.SAME
    through_status: int = 0
    why: str = field(default="", compare=False)

    def filled(self, call: Mapping[str, str]) -> dict[str, Any]:
        """The arguments for one call: `call` maps call, task and token to its own."""
        return {key: _fill(value, call) for key, value in self.arguments.items()}


def _fill(value: Any, call: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in call.items():
            value = value.replace(f"<{name}>", text)
        return value
    if isinstance(value, Mapping):
        return {key: _fill(one, call) for key, one in value.items()}
    return value


def _body(name: str, body: Any, named: str, **more: Any) -> Case:
    return Case(name, {"json": body}, 400, "invalid", named, **more)


def _raw(name: str, data: bytes, headers: Mapping[str, str], status: int, code: str, named: str, **more: Any) -> Case:
    return Case(name, {"data": data, "headers": dict(headers)}, status, code, named, **more)


STOP = {"action": "stop", "callSid": SID}

BODIES = (
    _body("empty object", {}, "action: missing"),
    Case("no body", {}, 400, "invalid", "action: missing"),
    _body(
        "unknown action", {"action": "begin", "callSid": SID}, "action: 'begin' given; input should be 'start', 'stop', 'pause' or 'resume'"
    ),
    _body("no call", {"action": "stop"}, "callSid: missing"),
    _body("short call", {"action": "stop", "callSid": "CA1"}, "callSid: 'CA1' given"),
    _body("number as call", {"action": "stop", "callSid": 7}, "callSid: 7 given"),
    _body("capitals in call", {"action": "stop", "callSid": "CA" + "A" * 32}, "callSid"),
    _body("long call", {"action": "stop", "callSid": "x" * 300}, "callSid: a text of 300 characters given"),
    _body("bad task", {"action": "start", "callSid": SID, "taskSid": "WT1"}, "taskSid: 'WT1' given"),
    _body("only an unknown field", {"action": "stop", "CallSid": SID}, "callSid: missing"),
    _body("number as token", STOP | {"Token": 5}, "Token: a number given; it must be a text"),
    _body("space in token", STOP | {"Token": "a b"}, "Token: a text of 3 characters"),
    _body("list", ["start"], "a list; it must be a JSON object", through=Through.SAME_CODE, why="a list's entries come as fields"),
    _raw("cut JSON", b"{", JSON, 400, "invalid", "not JSON", through=Through.OTHER, through_status=400, why="the runtime reads JSON"),
    _raw(
        "deep JSON", b"[" * 9000, JSON, 400, "invalid", "not JSON", through=Through.OTHER, through_status=400, why="the runtime reads JSON"
    ),
    _raw(
        "field twice in JSON",
        b'{"action":"stop","action":"start"}',
        JSON,
        400,
        "invalid",
        "action: given more than once",
        through=Through.SAME_CODE,
        why="the last one is handed over",
    ),
    _raw("field twice in a form", b"action=stop&action=start", FORM, 400, "invalid", "action: given more than once"),
    _raw(
        "form that is not UTF-8",
        b"action=%ff",
        FORM,
        400,
        "invalid",
        "not a form",
        through=Through.SAME_CODE,
        why="the runtime puts a replacement character",
    ),
    _raw(
        "plain text",
        b"x",
        {"Content-Type": "text/plain"},
        415,
        "content_type",
        "Content-Type: 'text/plain' given; allowed: application/json",
    ),
    _raw("multipart", b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "content_type", "Content-Type"),
    Case("other authorization", {"json": STOP, "headers": {"Authorization": "Basic abc"}}, 400, "invalid", "Authorization"),
    Case("two tokens", {"json": STOP | {"Token": "a"}, "headers": {"Authorization": "Bearer b"}}, 400, "invalid", "different tokens"),
    _raw(
        "large and no JSON",
        b"x" * (MAX_BODY_BYTES + 1),
        JSON,
        413,
        "too_large",
        f"{MAX_BODY_BYTES} bytes",
        through=Through.OTHER,
        through_status=400,
        why="the runtime reads JSON, and up to 6 MB of it",
    ),
    Case("large", {"json": STOP | {"Token": "x" * MAX_BODY_BYTES}}, 413, "too_large", f"{MAX_BODY_BYTES} bytes"),
)

_NO_METHOD = "a function is not told the method"

ADDRESSES = (
    Case("GET /stream", {}, 405, "method", method="GET", through=Through.OTHER, through_status=400, why=_NO_METHOD),
    Case("PUT /stream", {}, 405, "method", method="PUT", through=Through.OTHER, through_status=400, why=_NO_METHOD),
    Case("DELETE /token", {}, 405, "method", method="DELETE", path="/token", through=Through.OTHER, through_status=401, why=_NO_METHOD),
)

QUERIES = tuple(
    Case(
        f"{method} {path} {name}",
        {"params": {name: value}, "headers": {"Authorization": "Bearer <token>"}},
        400,
        "query",
        named,
        method,
        path,
    )
    for method, path in (("GET", "/token"), ("POST", "/token"), ("POST", "/stream"))
    for name, value, named in (
        ("identity", "agent", "identity"),
        ("Token", "abc", "token"),
        ("token", "abc", "token"),
        ("access_token", "abc", "token"),
        ("page", "1", "no query string"),
    )
)

_START = {"action": "start", "callSid": "<call>", "taskSid": "<task>"}

TOKENS = (
    Case("GET /token without a token", {}, 401, "token_missing", method="GET", path="/token"),
    Case("POST /token without a token", {"json": {}}, 401, "token_missing", path="/token"),
    Case("POST /token with an empty token", {"json": {"Token": ""}}, 401, "token_missing", path="/token"),
    Case("POST /token with nonsense", {"json": {"Token": "nonsense"}}, 401, "token_invalid", path="/token"),
    Case(
        "GET /token with nonsense",
        {"headers": {"Authorization": "Bearer nonsense"}},
        401,
        "token_invalid",
        method="GET",
        path="/token",
    ),
    Case("stop without a token", {"json": {"action": "stop", "callSid": "<call>"}}, 401, "token_missing"),
    Case("start without a token", {"json": _START}, 401, "token_missing"),
    Case("start without a token, as a form", {"data": _START}, 401, "token_missing"),
    Case("start with nonsense", {"json": _START | {"Token": "nonsense"}}, 401, "token_invalid"),
    Case("start of another's call", {"json": _START | {"callSid": SID, "Token": "<token>"}}, 403, "not_your_call"),
    Case("start with another's task", {"json": _START | {"taskSid": "WT" + "0" * 32, "Token": "<token>"}}, 403, "not_your_call"),
)

FLEX = "https://flex.twilio.com"

ORIGINS = tuple(
    Case(name, {"json": {"Token": "<token>"}, "headers": {"Origin": origin}}, status, code, path="/token")
    for name, origin, status, code in (
        ("Flex", FLEX, 200, ""),
        ("another page", "https://evil.example.com", 403, "origin"),
        ("a name that begins alike", "https://flex.twilio.com.evil.example.com", 403, "origin"),
        ("without TLS", "http://flex.twilio.com", 403, "origin"),
        ("another port", "https://flex.twilio.com:444", 403, "origin"),
        ("null", "null", 403, "origin"),
    )
)

EVERY = (*BODIES, *ADDRESSES, *QUERIES, *TOKENS, *ORIGINS)


def each(cases: tuple[Case, ...]) -> list[Any]:
    """The cases as pytest's parameters."""
    return [pytest.param(case, id=case.name.replace(" ", "-")) for case in cases]
