import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_sim.twilio.streams import StreamFaults, StreamRequest
from voiceassist_sim.twilio.streams.playout import Kind, Playout

from .conftest import CALL, TwoSides

NUMBERS = st.frozensets(st.integers(1, 40), max_size=10)


def request(track="both_tracks", **changes):
    values = {
        "account_sid": "AC" + "2" * 32,
        "call_sid": CALL,
        "stream_sid": "MZ%s" + "3" * 30,  # a percent sign must not upset the template
        "name": None,
        "url": "wss://relay.example.com/ws",
        "track": track,
        "parameters": {"token": "x", "word": 'quote " and ü'},
        "status_callback": None,
        "status_callback_method": "POST",
    }
    return StreamRequest(**{**values, **changes})


def playout(faults=None, track="both_tracks", seconds=1):
    sides = TwoSides(bytes(range(100)) * (80 * seconds), b"\x05" * 8000 * seconds)
    return Playout(request(track), sides, faults or StreamFaults())


def texts(emissions):
    return [json.loads(emission.data) for emission in emissions if emission.kind is Kind.TEXT]


def played(play, slots, *, opening=True):
    emissions = (play.connected() + play.start()) if opening else []
    for _ in range(slots):
        emissions += play.slot().emissions
    return emissions + play.stop()


def test_the_good_case_is_connected_start_media_stop_with_one_sequence():
    events = texts(played(playout(), 3))
    assert [event["event"] for event in events] == ["connected", "start", *["media"] * 6, "stop"]
    assert events[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert "streamSid" not in events[0]
    assert [event["sequenceNumber"] for event in events[1:]] == [str(number) for number in range(1, 9)]
    assert {event["streamSid"] for event in events[1:]} == {"MZ%s" + "3" * 30}
    assert events[1]["start"] == {
        "accountSid": "AC" + "2" * 32,
        "streamSid": "MZ%s" + "3" * 30,
        "callSid": CALL,
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "x", "word": 'quote " and ü'},
    }
    assert events[-1]["stop"] == {"accountSid": "AC" + "2" * 32, "callSid": CALL}
    third = events[4]["media"]
    assert third == {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": third["payload"]}
    assert base64.b64decode(third["payload"]) == (bytes(range(100)) * 4)[160:320]


@pytest.mark.parametrize(
    ("asked", "tracks"),
    [("inbound_track", ["inbound"]), ("outbound_track", ["outbound"]), ("both_tracks", ["inbound", "outbound"])],
)
def test_tracks_lose_their_suffix_on_the_wire(asked, tracks):
    events = texts(played(playout(track=asked), 1))
    assert events[1]["start"]["tracks"] == tracks
    assert [event["media"]["track"] for event in events if event["event"] == "media"] == tracks


@settings(deadline=None)
@given(skip=NUMBERS, duplicate=NUMBERS, swap=NUMBERS)
def test_skips_doubles_and_swaps_change_the_order_and_never_the_numbers(skip, duplicate, swap):
    faults = StreamFaults(skip=skip, duplicate=duplicate, swap=swap)
    play = playout(faults)
    events = texts(played(play, 20))
    sequences = [int(event["sequenceNumber"]) for event in events if event["event"] == "media"]
    kept = set(range(1, 41)) - skip
    assert set(sequences) == {number + 1 for number in kept}  # start is number 1
    assert play.skipped == len(skip)
    assert len(sequences) == len(kept) + play.duplicated
    assert play.duplicated == len([number for number in sequences if sequences.count(number) == 2]) // 2
    assert events[-1]["sequenceNumber"] == "42"
    audio = {event["sequenceNumber"]: event["media"] for event in events if event["event"] == "media"}
    good = {event["sequenceNumber"]: event["media"] for event in texts(played(playout(), 20)) if event["event"] == "media"}
    assert audio == {sequence: media for sequence, media in good.items() if int(sequence) - 1 in kept}


def test_a_swapped_message_comes_after_the_one_that_follows():
    events = texts(played(playout(StreamFaults(swap=frozenset({3})), "inbound_track"), 5))
    assert [event["media"]["chunk"] for event in events if event["event"] == "media"] == ["1", "2", "4", "3", "5"]


def test_a_swapped_last_message_still_comes_before_stop():
    events = texts(played(playout(StreamFaults(swap=frozenset({5})), "inbound_track"), 5))
    assert [event["event"] for event in events[-2:]] == ["media", "stop"]
    assert events[-2]["media"]["chunk"] == "5"


def test_start_can_be_altered_member_by_member():
    faults = StreamFaults(start_fields={"callSid": "CAother", "mediaFormat": None}, parameters={"token": None, "word": "else", "more": "1"})
    start = texts(playout(faults).start())[0]["start"]
    assert start["callSid"] == "CAother"
    assert "mediaFormat" not in start
    assert start["accountSid"] == "AC" + "2" * 32
    assert start["customParameters"] == {"word": "else", "more": "1"}


def test_a_second_start_takes_its_own_number():
    events = texts(played(playout(StreamFaults(second_start_at=2), "inbound_track"), 3))
    assert [(event["event"], event["sequenceNumber"]) for event in events[1:]] == [
        ("start", "1"),
        ("media", "2"),
        ("media", "3"),
        ("start", "4"),
        ("media", "5"),
        ("stop", "6"),
    ]


def test_unknown_events_share_the_sequence():
    events = texts(played(playout(StreamFaults(unknown_events_every=2), "inbound_track"), 4))
    assert [event["event"] for event in events] == [
        "connected",
        "start",
        "media",
        "media",
        "dtmf",
        "mark",
        "x-notKnown",
        "media",
        "media",
        "dtmf",
        "mark",
        "x-notKnown",
        "stop",
    ]
    assert [int(event["sequenceNumber"]) for event in events[1:]] == list(range(1, 13))


def test_unknown_fields_are_in_every_message():
    events = texts(played(playout(StreamFaults(unknown_fields=True)), 2))
    assert all(event["x-notKnown"] == {"nested": [1, None, "text"]} for event in events)


def test_garbage_and_binary_come_after_their_media_and_take_no_number():
    play = playout(StreamFaults(garbage_at=frozenset({1}), binary_at=frozenset({2})), "inbound_track")
    emissions = play.start() + play.slot().emissions + play.slot().emissions + play.stop()
    kinds = [emission.kind for emission in emissions]
    assert kinds == [Kind.TEXT, Kind.TEXT, Kind.TEXT, Kind.TEXT, Kind.BINARY, Kind.TEXT]
    with pytest.raises(ValueError, match=r"."):
        json.loads(emissions[2].data)
    assert json.loads(emissions[-1].data)["sequenceNumber"] == "4"


def test_an_oversize_message_is_a_well_formed_one_above_the_size():
    play = playout(StreamFaults(oversize_at=frozenset({1})), "inbound_track")
    oversize = play.slot().emissions[1]
    assert len(oversize.data) > 65536
    assert oversize.frame is None  # it is no audio of the recording and not in the ledger
    assert json.loads(oversize.data)["event"] == "media"


def test_payload_lengths_take_turns_and_keep_time():
    play = playout(StreamFaults(payload_lengths=(160, 1, 0, 333)), "inbound_track")
    slots = [play.slot() for _ in range(6)]
    assert [slot.samples for slot in slots] == [160, 1, 0, 333, 160, 1]
    media = [json.loads(slot.emissions[0].data)["media"] for slot in slots]
    assert [len(base64.b64decode(each["payload"])) for each in media] == [160, 1, 0, 333, 160, 1]
    assert [each["timestamp"] for each in media] == ["0", "20", "20", "20", "61", "81"]


def test_lengths_that_are_all_zero_would_stop_time_and_are_left_out():
    assert playout(StreamFaults(payload_lengths=(0, 0))).slot().samples == 160


def test_without_connected_and_without_stop():
    play = playout(StreamFaults(no_connected=True, no_stop=True))
    assert play.connected() == []
    assert play.stop() == []
