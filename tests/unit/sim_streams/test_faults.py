import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_sim.twilio.streams import StreamFaults

CHANGED = {
    "shared_chunk": True,
    "silent_gaps": True,
    "frame_bytes": 80,
    "close_at_stop": True,
    "close_wait_ms": 10,
    "stopped_after_error": True,
    "error_text": True,
    "drop_query": True,
    "send_buffer_bytes": 1000,
    "signature": "https",
    "signature_url": "wss://other.example.com",
    "signature_header": "x",
    "query": "a=b",
    "no_connected": True,
    "no_start": True,
    "start_delay_ms": 2.5,
    "start_fields": {"callSid": "CA1"},
    "parameters": {"token": None},
    "media_before_start": 2,
    "second_start_at": 3,
    "skip": [1, 2],
    "duplicate": [3],
    "swap": [4],
    "payload_lengths": [1, 0, 7],
    "flood": 20,
    "unknown_events_every": 5,
    "unknown_fields": True,
    "garbage_at": [6],
    "binary_at": [7],
    "oversize_at": [8],
    "oversize_bytes": 90_000,
    "fragments": 3,
    "ping_every_ms": 100,
    "cut_now": True,
    "cut_at_ms": 5,
    "half_open_now": True,
    "half_open_at_ms": 6,
    "no_stop": True,
    "no_callbacks": True,
}


def test_every_field_goes_through_json_and_back():
    assert set(CHANGED) == {each.name for each in fields(StreamFaults)}
    faults = StreamFaults.from_json(CHANGED)
    assert all(getattr(faults, name) != getattr(StreamFaults(), name) for name in CHANGED)
    text = json.dumps(faults.to_json())
    assert json.loads(text) == CHANGED
    assert StreamFaults.from_json(json.loads(text)) == faults
    assert StreamFaults.from_json(StreamFaults().to_json()) == StreamFaults()


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("skipp", [1], "known are"),
        ("skip", [0], "at least 1"),
        ("skip", [True], "whole numbers"),
        ("skip", 4, "list"),
        ("flood", 0, "above 0"),
        ("flood", "2", "above 0"),
        ("frame_bytes", 0, "at least 1"),
        ("frame_bytes", 1.5, "whole"),
        ("fragments", 0, "at least 1"),
        ("signature", "rsa", "one of true, none"),
        ("signature", None, "one of"),
        ("payload_lengths", [0, 0], "above 0"),
        ("parameters", [], "object"),
        ("query", 3, "text or null"),
        ("cut_at_ms", -1, "0 or more"),
        ("close_wait_ms", None, "milliseconds"),
        ("cut_now", 1, "true or false"),
        ("second_start_at", 0, "at least 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name_and_what_would_fit(name, value, hint):
    faults = StreamFaults()
    with pytest.raises(ValueError, match=hint) as caught:
        faults.update({"silent_gaps": True, name: value})
    assert name in str(caught.value)
    assert faults == StreamFaults()  # all or nothing


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(CHANGED)), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())))
def test_json_is_either_taken_or_refused_in_words(changes):
    try:
        faults = StreamFaults.from_json(changes)
    except ValueError as refusal:
        assert any(name in str(refusal) for name in changes)
    else:
        json.dumps(faults.to_json())
