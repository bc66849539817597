"""The order of a stream: what is taken, dropped, counted, refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_crds.names import CallSid
from voiceassist_crds.reasons import Refusal
from voiceassist_relay.auth import mint_stream_token
from voiceassist_relay.interfaces import StreamClaims, StreamStart
from voiceassist_relay.media.messages import duration_ms
from voiceassist_relay.media.stream import Audio, Ignored, Note, Opening, Refused, StartTerms, Stopped, StreamProtocol

KEY = "k" * 32
CALL, ACCOUNT, STREAM = CallSid("CA" + "1" * 32), "AC" + "2" * 32, "MZ" + "3" * 32
NOW = 1_000_000.0
CLAIMS = StreamClaims(call=CALL, account=ACCOUNT, generation=1, exp=int(NOW) + 60)
TERMS = StartTerms(CALL, ACCOUNT, (KEY,))
SILENCE = base64.b64encode(b"\xff" * 160).decode()


def message(event: str, sequence: Any = None, **body: Any) -> bytes:
    document: dict[str, Any] = {"event": event, "streamSid": STREAM, **body}
    if sequence is not None:
        document["sequenceNumber"] = str(sequence)
    return json.dumps(document).encode()


def start(sequence: Any = 1, *, top: Any = None, **changes: Any) -> bytes:
    body = {
        "accountSid": ACCOUNT,
        "callSid": CALL,
        "streamSid": STREAM,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": mint_stream_token(KEY, CLAIMS)},
        **changes,
    }
    return message("start", sequence, start={k: v for k, v in body.items() if v is not ...}, **(top or {}))


def media(sequence: Any = None, timestamp: Any = None, track: str = "inbound", payload: Any = SILENCE, **top: Any) -> bytes:
    body: dict[str, Any] = {"track": track, "chunk": "1", "payload": payload}
    if timestamp is not None:
        body["timestamp"] = str(timestamp)
    return message("media", sequence, media=body, **top)


def live() -> StreamProtocol:
    stream = StreamProtocol()
    stream.receive(message("connected", protocol="Call", version="1.0.0"))
    opening = stream.receive(start())
    assert isinstance(opening, Opening)
    assert isinstance(stream.accept(opening, TERMS, NOW), StreamStart)
    return stream


# the start


def opened(text: bytes, terms: StartTerms = TERMS, now: float = NOW) -> StreamStart | Refusal:
    stream = StreamProtocol()
    event = stream.receive(text)
    if isinstance(event, Opening):
        event = stream.accept(event, terms, now)
    if isinstance(event, Refused):
        after = stream.receive(start())
        assert not isinstance(after, Opening)
        return event.refusal
    assert isinstance(event, StreamStart)
    return event


def test_stream_a_start_that_fits():
    assert opened(start()) == StreamStart(CALL, STREAM, ("inbound",), CLAIMS)
    assert opened(start(mediaFormat=..., tracks=..., unknown=1)) == StreamStart(CALL, STREAM, (), CLAIMS)


def test_stream_twilios_own_example_reads():
    text = (
        b'{"event":"start","sequenceNumber":"1","streamSid":"MZ18ad3ab5a668481ce02b83e7395059f0","start":{"accountSid":"AC00000000000000'
        b'000000000000000000","streamSid":"MZ18ad3ab5a668481ce02b83e7395059f0","callSid":"CA00000000000000000000000000000000","tracks":'
        b'["inbound","outbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":'
        b'{"session":"abc","sig":"def"}}}'
    )
    event = StreamProtocol().receive(text)
    assert isinstance(event, Opening)
    assert (event.start.tracks, event.unknown_fields) == (("inbound", "outbound"), 0)


def token(**changes: Any) -> dict[str, str]:
    return {"token": mint_stream_token(changes.pop("key", KEY), replace(CLAIMS, **changes))}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"accountSid": "AC" + "9" * 32}, Refusal.OTHER_ACCOUNT),
        ({"callSid": "CA" + "9" * 32}, Refusal.OTHER_CALL),
        ({"callSid": "CA" + "9" * 32, "customParameters": token(call="CA" + "9" * 32)}, Refusal.OTHER_CALL),
        ({"customParameters": {}}, Refusal.TOKEN_MISSING),
        ({"customParameters": ...}, Refusal.TOKEN_MISSING),
        ({"customParameters": {"token": ""}}, Refusal.TOKEN_MISSING),
        ({"customParameters": {"token": ["x"]}}, Refusal.TOKEN_INVALID),
        ({"customParameters": {"token": None}}, Refusal.TOKEN_INVALID),
        ({"customParameters": {"token": "v1.x.y"}}, Refusal.TOKEN_INVALID),
        ({"customParameters": token(key="other")}, Refusal.TOKEN_INVALID),
        ({"customParameters": token(account="AC" + "9" * 32)}, Refusal.TOKEN_INVALID),
        ({"customParameters": token(call="CA" + "9" * 32)}, Refusal.TOKEN_OTHER_CALL),
        ({"customParameters": token(exp=int(NOW))}, Refusal.TOKEN_EXPIRED),
        ({"streamSid": "MZ1"}, Refusal.BAD_START),
        ({"streamSid": "MZ" + "4" * 32}, Refusal.BAD_START),
        ({"streamSid": ...}, Refusal.BAD_START),
        ({"tracks": ["inbound"] * 5}, Refusal.BAD_START),
        ({"tracks": "inbound"}, Refusal.BAD_START),
        ({"customParameters": []}, Refusal.BAD_START),
        ({"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}}, Refusal.BAD_START),
        ({"mediaFormat": {"encoding": "audio/l16", "sampleRate": 8000, "channels": 1}}, Refusal.BAD_START),
        ({"top": {"start": None}}, Refusal.BAD_START),
        ({"top": {"sequenceNumber": []}}, Refusal.BAD_START),
    ],
)
def test_stream_a_start_that_does_not_fit(changes, refusal):
    assert opened(start(**changes) if "top" not in changes else message("start", **changes["top"])) is refusal


def test_stream_without_checks_a_token_may_lack_but_a_good_one_is_read():
    terms = replace(TERMS, checked=False)
    result = opened(start(customParameters={}), terms)
    assert isinstance(result, StreamStart)
    assert result.claims == StreamClaims(CALL, ACCOUNT, generation=1, exp=0)
    result = opened(start(customParameters=token(generation=4)), terms)
    assert isinstance(result, StreamStart)
    assert result.claims.generation == 4
    assert opened(start(customParameters=token(call="CA" + "9" * 32)), terms) is Refusal.TOKEN_OTHER_CALL
    assert opened(start(callSid="CA" + "9" * 32, customParameters={}), terms) is Refusal.OTHER_CALL


# order


def test_stream_the_regular_stream():
    stream = live()
    assert stream.receive(media(2, 20)) == Audio(True, SILENCE.encode())
    assert stream.receive(media(3, 20, "outbound")) == Audio(False, SILENCE.encode())
    assert stream.receive(message("stop", 4, stop={"accountSid": ACCOUNT, "callSid": CALL})) == Stopped()
    assert stream.receive(media(5, 40)) == Ignored(Note.EXPECTED)
    assert stream.receive(start(6)) == Ignored(Note.EXPECTED)


@pytest.mark.parametrize("before", [[], [message("connected")], [message("connected"), message("dtmf", 1), message("what", 2)]])
def test_stream_media_and_stop_before_start(before):
    for text, refusal in (
        (media(1), Refusal.MEDIA_BEFORE_START),
        (message("stop", 1), Refusal.BAD_START),
        (media(1, payload=7), Refusal.MEDIA_BEFORE_START),
    ):
        stream = StreamProtocol()
        assert all(isinstance(stream.receive(b), Ignored) for b in before)
        assert stream.receive(text) == Refused(refusal)


@pytest.mark.parametrize(
    "second", [start(), start(2), start(2, streamSid="MZ" + "4" * 32), start(2, callSid="x"), message("start", 2), message("start", [])]
)
def test_stream_a_second_start(second):
    assert live().receive(second) == Refused(Refusal.SECOND_START)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"7", b'"media"', b'{"event":7}', b"\xff", b'{"event":"media"}x', b'{"a":' + b"[" * 60000, b'{"event":"\xff"}'],
)
def test_stream_what_is_no_message_is_refused(text):
    assert live().receive(text) == Refused(Refusal.NOT_JSON)
    assert StreamProtocol().receive(text) == Refused(Refusal.NOT_JSON)


def test_stream_unknown_events_and_fields_are_ignored_and_counted():
    stream = live()
    assert stream.receive(message("weather", 2)) == Ignored(Note.UNKNOWN)
    assert stream.receive(b"{}") == Ignored(Note.UNKNOWN)
    assert stream.receive(message("weather", 3, media=7, start=[])) == Ignored(Note.UNKNOWN)
    assert stream.receive(message("mark", 4, mark={"name": "x"})) == Ignored(Note.EXPECTED)
    assert stream.receive(message("dtmf", 5, dtmf={"digit": "1"})) == Ignored(Note.EXPECTED)
    assert stream.receive(message("connected", x=1, y=2)) == Ignored(Note.EXPECTED, unknown_fields=2)
    odd = media(6, new=1)
    assert stream.receive(odd) == Audio(True, SILENCE.encode(), unknown_fields=1)
    assert stream.receive(media(7, new=1)) == Audio(True, SILENCE.encode())
    assert stream.receive(message("stop", 8, stop={"z": 1})) == Stopped(unknown_fields=1)
    unreadable = message("mark", 9, x="?").replace(b"?", b"\xff")
    assert live().receive(unreadable) == Ignored(Note.EXPECTED, unknown_fields=1)


# audio


@pytest.mark.parametrize("payload", ["", "AAA", "AAAAA", "AAé=", 7, None, ["AAAA"]])
def test_stream_a_payload_that_cannot_be_base64_is_dropped(payload):
    event = live().receive(media(2, payload=payload))
    assert isinstance(event, Ignored)
    assert event.note is Note.MALFORMED


@pytest.mark.parametrize("bytes_", [1, 2, 3, 159, 160, 161, 20_000])
def test_stream_any_length_is_taken(bytes_):
    payload = base64.b64encode(b"\x7f" * bytes_).decode()
    assert live().receive(media(2, payload=payload)) == Audio(True, payload.encode())
    assert abs(duration_ms(payload) - bytes_ / 8) <= 1


def test_stream_escapes_in_a_payload_are_resolved_and_cannot_break_out():
    escaped = media(2).replace(SILENCE.encode(), rb"\/\/7+")
    assert live().receive(escaped) == Audio(True, b"//7+")
    for text in (rb"\"AAA", rb"\\AAA", rb"\nAAA", rb"\u0000AAA", rb"=AAA", rb"\/A=A"):
        assert live().receive(media(2).replace(SILENCE.encode(), text)) in (Ignored(Note.MALFORMED, True), Audio(True, b"=AAA"))


def test_stream_numbers_may_come_as_numbers():
    stream = live()
    text = {"event": "media", "sequenceNumber": 2, "media": {"track": "inbound", "timestamp": 20, "payload": "AAAA"}}
    assert stream.receive(json.dumps(text).encode()) == Audio(True, b"AAAA")
    assert stream.receive(json.dumps(text).encode()) == Ignored(Note.DUPLICATE, True)


def test_stream_audio_of_another_stream_or_track_is_not_taken():
    stream = live()
    assert stream.receive(media(2, streamSid="MZ" + "9" * 32)) == Ignored(Note.UNKNOWN)
    assert stream.receive(media(3, track="sideways")) == Ignored(Note.UNKNOWN)
    assert stream.receive(message("media", 4)) == Ignored(Note.MALFORMED)


def test_stream_a_sequence_number_beyond_reason_does_not_make_the_rest_look_old():
    stream = live()
    assert stream.receive(media(10**30)) == Ignored(Note.MALFORMED)
    assert stream.receive(media(2)) == Audio(True, SILENCE.encode())


def test_stream_messages_lost_are_told_with_the_next_audio():
    stream = live()
    assert stream.receive(media(4)).lost == 2  # type: ignore[union-attr]
    assert stream.receive(message("mark", 7)) == Ignored(Note.EXPECTED)
    assert stream.receive(media(8)).lost == 2  # type: ignore[union-attr]
    assert stream.receive(message("stop", 10)) == Stopped(lost=1)


def test_stream_holes_are_seen_per_track():
    stream = live()
    steps = [("inbound", 100, False), ("outbound", 500, False), ("inbound", 120, False), ("inbound", 150, False), ("outbound", 540, True)]
    steps += [("inbound", 190, True), ("inbound", 0, False), ("inbound", 20, False), ("inbound", 61, True), ("outbound", None, False)]
    for n, (track, timestamp, hole) in enumerate(steps):
        event = stream.receive(media(n + 2, timestamp, track))
        assert isinstance(event, Audio)
        assert event.hole is hole, (n, track, timestamp)


events = st.one_of(
    st.tuples(st.just("media"), st.integers(0, 30), st.sampled_from(["inbound", "outbound"])),
    st.tuples(st.sampled_from(["mark", "dtmf"]), st.integers(0, 30), st.just("")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=40))
def test_stream_in_any_order_each_number_counts_once_and_upwards(steps):
    stream, last, taken, lost = live(), 1, [], 0
    for event, sequence, track in steps:
        result = stream.receive(media(sequence, None, track) if event == "media" else message(event, sequence))
        if sequence <= last:
            assert isinstance(result, Ignored)
            assert result.note is Note.DUPLICATE
            continue
        last = sequence
        if event == "media":
            assert isinstance(result, Audio)
            taken.append(sequence)
            lost += result.lost
        else:
            assert result == Ignored(Note.EXPECTED)
    stopped = stream.receive(message("stop", last + 1))
    assert isinstance(stopped, Stopped)
    seen = {sequence for _, sequence, _ in steps if 1 < sequence <= last}
    quiet = len([1 for event, *_ in steps if event != "media"])
    assert taken == sorted(set(taken))
    assert lost + stopped.lost >= last - 1 - len(seen)
    assert lost + stopped.lost <= last - 1 - len(taken)
    assert lost + stopped.lost >= last - 1 - len(taken) - quiet


FIELDS = ["payload", "track", "timestamp", "streamSid"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda event, body, sequence: json.dumps({"event": event, event: body, "sequenceNumber": sequence}).encode(),
                st.sampled_from(["start", "media", "stop", "connected", "mark", "x"]),
                st.recursive(
                    st.none() | st.integers() | st.text(max_size=5),
                    lambda inner: (
                        st.lists(inner, max_size=3)
                        | st.dictionaries(st.sampled_from(["payload", "track", "timestamp", "streamSid"]), inner, max_size=4)
                    ),
                    max_leaves=6,
                ),
                st.none() | st.integers() | st.text(max_size=4) | st.floats(),
            ),
        ),
        max_size=6,
    )
)
def test_stream_nothing_raises(texts):
    for stream in (live(), StreamProtocol()):
        for text in texts:
            stream.receive(text)
