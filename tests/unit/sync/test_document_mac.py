"""The mark by which a relay knows a call's Document as a relay's own."""

from __future__ import annotations

import json

import pytest

from voiceassist_relay.sync.document_mac import FIELD, is_marked, marked

CALL, OTHER = "CA" + "1" * 32, "CA" + "2" * 32
DATA = {"state": "live", "generation": 2, "deadline": 1_795_341_600.25, "paused": True, "owner": "10.0.0.1:9090", "later": {"a": [1, None]}}


def test_document_mac_what_was_marked_is_known_and_nothing_else() -> None:
    data = marked(CALL, DATA, ["key", "older"])
    assert set(data) == {*DATA, FIELD}
    assert is_marked(CALL, data, ["key"])
    assert is_marked(CALL, data, ["newer", "key"])
    assert marked(CALL, data, ["key"]) == data
    assert not is_marked(CALL, data, ["another"])
    assert not is_marked(CALL, data, [])
    assert not is_marked(OTHER, data, ["key"])
    assert not is_marked(CALL, DATA, ["key"])


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": "10.0.0.2:9090"},
        {"generation": 3},
        {"paused": 1},
        {"deadline": 9e18},
        {"more": 1},
        {FIELD: "x"},
        {FIELD: None},
        {FIELD: "\u00e9"},
    ],
)
def test_document_mac_whatever_is_changed_breaks_it(changes: dict[str, object]) -> None:
    assert not is_marked(CALL, {**marked(CALL, DATA, ["key"]), **changes}, ["key"])


def test_document_mac_numbers_may_come_back_in_another_form_and_fields_in_another_order() -> None:
    data = marked(CALL, {**DATA, "deadline": 1_795_341_600.0}, ["key"])
    again = json.loads(json.dumps(dict(sorted(data.items()))).replace("1795341600.0", "1795341600"))
    assert isinstance(again["deadline"], int)
    assert is_marked(CALL, again, ["key"])


def test_document_mac_without_a_token_there_is_no_mark() -> None:
    assert marked(CALL, DATA, []) == DATA
