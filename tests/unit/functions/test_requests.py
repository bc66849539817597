"""From bytes to typed requests: what fits, what does not, and nothing that raises anything but RequestRefused."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_relay.errors import RequestRefused
from voiceassist_relay.functions.requests import (
    MAX_BODY_BYTES,
    Action,
    FeedbackFields,
    StreamFields,
    parse,
    read_fields,
    read_form,
    refuse_query,
    take_token,
)

CALL, TASK = "CA" + "1" * 32, "WT" + "2" * 32
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, json.dumps({"action": "start", "callSid": CALL, "taskSid": TASK}).encode()),
        ("Application/JSON; charset=utf-8", json.dumps({"action": "start", "callSid": CALL, "taskSid": TASK}).encode()),
        (FORM, urlencode({"action": "start", "callSid": CALL, "taskSid": TASK}).encode()),
        (f"{FORM};charset=UTF-8", urlencode({"action": "start", "callSid": CALL, "taskSid": TASK}).encode()),
    ],
)
def test_requests_json_and_forms_say_the_same(content_type: str, body: bytes) -> None:
    fields, _ = parse(StreamFields, read_fields(content_type, body))
    assert (fields.action, fields.call_sid, fields.task_sid) == (Action.START, CALL, TASK)


@pytest.mark.parametrize("empty", ["", None])
def test_requests_an_empty_field_is_a_missing_one(empty: str | None) -> None:
    assert parse(StreamFields, {"action": "stop", "callSid": CALL, "taskSid": empty})[0].task_sid is None
    with pytest.raises(RequestRefused, match="callSid: missing"):
        parse(StreamFields, {"action": "stop", "callSid": empty})


def test_requests_an_empty_body_has_no_fields_whatever_its_type() -> None:
    assert read_fields("", b"") == read_fields("text/plain", b" \r\n") == {}


def test_requests_a_form_keeps_empty_values_and_their_order() -> None:
    assert read_form(b"b=&a=1") == [("b", ""), ("a", "1")]


def test_requests_only_as_much_as_is_allowed() -> None:
    assert read_fields(JSON, b"{" + b" " * (MAX_BODY_BYTES - 2) + b"}") == {}
    with pytest.raises(RequestRefused) as refused:
        read_fields(JSON, b"{" + b" " * (MAX_BODY_BYTES - 1) + b"}")
    assert refused.value.status == 413
    with pytest.raises(RequestRefused, match="at most 50 fields"):
        read_fields(FORM, "&".join(f"f{n}=1" for n in range(60)).encode())


@pytest.mark.parametrize(
    ("fields", "authorization", "token"),
    [
        ({}, "", ""),
        ({"Token": "a.b.c"}, "", "a.b.c"),
        ({}, "Bearer a.b.c", "a.b.c"),
        ({}, "bearer   a.b.c ", "a.b.c"),
        ({"Token": "a.b.c"}, "Bearer a.b.c", "a.b.c"),
        ({"Token": ""}, "Bearer a.b.c", "a.b.c"),
        ({"Token": None}, "", ""),
    ],
)
def test_requests_where_the_token_may_stand(fields: dict[str, object], authorization: str, token: str) -> None:
    raw = take_token({**fields, "action": "stop"}, authorization)
    assert (raw.token, raw.fields) == (token, {"action": "stop"})
    assert not token or token not in repr(raw)


@pytest.mark.parametrize("authorization", ["a.b.c", "Basic YTpi", "Bearer", "Bearer ", "Token a.b.c"])
def test_requests_other_authorizations(authorization: str) -> None:
    with pytest.raises(RequestRefused, match="Authorization"):
        take_token({}, authorization)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", "x" * 8193, 7, True, ["x"], {"a": 1}])
def test_requests_what_is_no_token(token: object) -> None:
    with pytest.raises(RequestRefused, match="Token"):
        take_token({"Token": token}, "")


def test_requests_a_query_is_refused_and_nothing_else_is() -> None:
    refuse_query("")
    for query in ("identity=x", "a", "%ff", "=", "&", "Token=x&identity=y", "x" * 100_000):
        with pytest.raises(RequestRefused) as refused:
            refuse_query(query)
        assert refused.value.status == 400


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM, "", "text/html", "application/json;;"]))
def test_requests_no_body_does_more_than_be_refused(body: bytes, content_type: str) -> None:
    try:
        fields = read_fields(content_type, body)
        parse(StreamFields, take_token(fields, "").fields)
    except RequestRefused as refused:
        assert 400 <= refused.status < 500 and refused.message and refused.hint


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300), lambda inner: st.lists(inner, max_size=3), max_leaves=3
)


@given(
    st.dictionaries(
        st.sampled_from(["callSid", "id", "revision", "verdict", "at", "agoMs", "x"]) | st.text(max_size=60), _values, max_size=6
    )
)
def test_requests_no_fields_do_more_than_be_refused(fields: dict[str, object]) -> None:
    try:
        parse(FeedbackFields, fields)
    except RequestRefused as refused:
        assert refused.status == 400
        assert not any(isinstance(value, str) and len(value) > 60 and value in refused.message for value in fields.values())
